//! Who calls, and what he may.
//!
//! ```text
//! rights     roles, and the table of what each may
//! identify   before every handler: cookie or API token -> Caller; forged requests and floods are refused
//! caller     Caller and Client, as handlers take them
//! log_in     log-in, log-out, own password     set_up   the first user
//! users*     users                             tokens*  API tokens
//! log_ins    who is known by which cookie      throttle what keeps guessing slow
//! password   argon2id                          secret   what stands for somebody
//! schema     the tables                        words    how they say things
//! ```

mod caller;
mod identify;
mod log_in;
mod log_ins;
mod password;
mod rights;
mod schema;
pub(crate) mod secret;
mod set_up;
mod throttle;
mod tokens;
mod tokens_api;
mod users;
mod users_api;
pub(crate) mod words;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use caller::{Caller, Client};
pub(crate) use identify::{COOKIE, identify, still_may};
pub(crate) use password::Password;
pub use rights::{Right, Role};
pub(crate) use schema::migrate;
pub(crate) use set_up::invite;
pub(crate) use throttle::Throttle;

use crate::app::App;

/// Below `/api/v2`.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(set_up::needed, set_up::set_up))
        .routes(routes!(log_in::log_in))
        .routes(routes!(log_in::log_out))
        .routes(routes!(log_in::me))
        .routes(routes!(log_in::change_password))
        .routes(routes!(users_api::list, users_api::make))
        .routes(routes!(users_api::change, users_api::remove))
        .routes(routes!(tokens_api::list, tokens_api::make))
        .routes(routes!(tokens_api::revoke))
}
