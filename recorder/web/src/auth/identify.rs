//! Who sent a request is found out once, before any handler; and whether a browser was made to send it by another site.
//!
//! Cookies come with whatever a browser sends, so a request that changes something is only taken from a log-in with
//! the token that the pages of this origin got ([`crate::auth`], `GET /me`), in `x-csrf-token`. The cookie is
//! `SameSite=Strict` besides, and what says that it comes from another origin is refused whoever sends it: that
//! covers log-in (nobody is logged in as somebody else by a foreign page) and WebSockets.

use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum_extra::extract::CookieJar;
use serde_json::json;

use super::caller::{Caller, Client, Means};
use super::{Right, log_ins, secret, tokens};
use crate::app::{Act, App};
use crate::problem::{Answer, Problem};

/// The cookie of a log-in. With this prefix a browser takes it only by TLS, for this host alone and all its paths.
pub(crate) const COOKIE: &str = "__Host-spanreel";
/// Where the token against forged requests is.
const CSRF: &str = "x-csrf-token";
/// Secrets are 43 characters, tokens four more.
const SECRET_BYTES_MAX: usize = 64;

/// What a request shows of who sent it.
enum Shown {
    LogIn(String),
    Token(String),
}

/// Puts a [`Caller`] into the request, if it shows one; refuses it if it is forged, or one of too many.
pub(crate) async fn identify(State(app): State<App>, request: Request, next: Next) -> Response {
    match checked(&app, request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn checked(app: &App, request: Request) -> Answer<Request> {
    let (mut parts, body) = request.into_parts();
    let client = Client::from_request_parts(&mut parts, &()).await?;
    app.throttle().request(client)?;
    let changes = !(parts.method == Method::GET || parts.method == Method::HEAD);
    let foreign = (changes || parts.headers.contains_key(header::UPGRADE))
        && is_foreign(&parts.headers, parts.uri.authority().map(|a| a.as_str()));
    let caller = match shown(&parts.headers) {
        Some(shown) => app.blocking(move |app| caller(app, &shown, client)).await?,
        None => None,
    };
    if foreign || changes && caller.as_ref().is_some_and(|c| is_forged(c, &parts.headers)) {
        let caller = caller.unwrap_or_else(|| Caller::outsider("", client));
        let method = parts.method.as_str();
        app.note_refusal(&caller, Act::Forged, parts.uri.path(), json!({ "method": method }))?;
        return Err(Problem::forbidden(
            "this request did not come from these pages, or without the token of the log-in (x-csrf-token)",
        ));
    }
    if let Some(caller) = caller {
        parts.extensions.insert(caller);
    }
    Ok(Request::from_parts(parts, body))
}

/// A token goes before a cookie: whoever sends one means it.
fn shown(headers: &HeaderMap) -> Option<Shown> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        let fits = token.starts_with(tokens::PREFIX) && token.len() <= SECRET_BYTES_MAX;
        return (scheme.eq_ignore_ascii_case("bearer") && fits)
            .then(|| Shown::Token(token.to_owned()));
    }
    let jar = CookieJar::from_headers(headers);
    let secret = jar.get(COOKIE)?.value();
    (secret.len() <= SECRET_BYTES_MAX).then(|| Shown::LogIn(secret.to_owned()))
}

fn caller(app: &App, shown: &Shown, client: Client) -> Answer<Option<Caller>> {
    let address = client.0;
    match shown {
        Shown::LogIn(text) => {
            let hash = secret::hash(text);
            let found = log_ins::find(app.database(), &hash, app.now())?;
            Ok(found.map(|user| {
                let rights = user.rights();
                let means = Means::LogIn { hash, csrf: secret::csrf_of(text), roles: user.roles };
                Caller { name: user.name.clone(), rights, address, user: user.name, means }
            }))
        }
        Shown::Token(text) => {
            let hash = secret::hash(text);
            let found = tokens::find(app.database(), &hash, app.now())?;
            Ok(found.map(|token| {
                let name = format!("token:{}", token.name);
                let (rights, user) = (token.rights, token.owner);
                Caller { name, rights, address, user, means: Means::Token { hash } }
            }))
        }
    }
}

/// Whether a caller who was known a while ago still is, and still may: log-ins end, and rights are taken away, while
/// something streams. Blocks.
pub(crate) fn still_may(app: &App, caller: &Caller, right: Right) -> Answer<bool> {
    let rights = match &caller.means {
        Means::LogIn { hash, .. } => {
            log_ins::find(app.database(), hash, app.now())?.map(|user| user.rights())
        }
        Means::Token { hash } => {
            tokens::find(app.database(), hash, app.now())?.map(|token| token.rights)
        }
        Means::None => None,
    };
    Ok(rights.is_some_and(|rights| rights.contains(&right)))
}

/// Whether it lacks the token that only pages of this origin can know.
fn is_forged(caller: &Caller, headers: &HeaderMap) -> bool {
    let Means::LogIn { csrf, .. } = &caller.means else { return false };
    let sent = headers.get(CSRF).and_then(|value| value.to_str().ok());
    !sent.is_some_and(|sent| secret::same(sent, csrf))
}

/// Whether a browser says that another origin made it send this. Programs say neither.
fn is_foreign(headers: &HeaderMap, authority: Option<&str>) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = text("origin") else { return false };
    // HTTP/2 has the host in the URI's authority, HTTP/1.1 in a header.
    let host = authority.or_else(|| text("host"));
    origin.strip_prefix("https://").is_none_or(|origin| Some(origin) != host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        of.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn what_comes_from_another_origin_is_foreign() {
        let foreign = |of: &[_]| is_foreign(&headers(of), None);
        assert!(!foreign(&[("host", "span1:8443")]), "a program");
        assert!(!foreign(&[("host", "span1:8443"), ("origin", "https://span1:8443")]));
        assert!(!foreign(&[("sec-fetch-site", "same-origin"), ("origin", "https://span1:8443")]));
        for origin in ["https://evil.example", "https://span1:9443", "http://span1:8443", "null"] {
            assert!(foreign(&[("host", "span1:8443"), ("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site", "nonsense"] {
            assert!(foreign(&[("host", "span1:8443"), ("sec-fetch-site", site)]), "{site}");
        }
        let http_2 = headers(&[("origin", "https://span1:8443")]);
        assert!(!is_foreign(&http_2, Some("span1:8443")));
        assert!(is_foreign(&http_2, Some("other:8443")));
        assert!(is_foreign(&http_2, None));
    }

    #[test]
    fn a_token_goes_before_a_cookie_and_only_ours_is_looked_up() {
        let cookie = ("cookie", "a=b; __Host-spanreel=secret; c=d");
        assert!(matches!(shown(&headers(&[cookie])), Some(Shown::LogIn(s)) if s == "secret"));
        let bearer = ("authorization", "bearer spr_x");
        assert!(
            matches!(shown(&headers(&[cookie, bearer])), Some(Shown::Token(t)) if t == "spr_x")
        );
        for other in ["Basic YTpi", "Bearer x", "Bearer", "spr_x", ""] {
            assert!(shown(&headers(&[cookie, ("authorization", other)])).is_none(), "{other}");
        }
        assert!(shown(&headers(&[("cookie", "spanreel=secret")])).is_none());
    }
}
