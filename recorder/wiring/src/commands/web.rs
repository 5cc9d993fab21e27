//! `spanreel web`: the window for people, over a data folder.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result};
use seal::PrivateKey;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use store::{DatabasePlace, PostgresSettings};
use tokio::sync::oneshot;
use web::app::{App, Settings};
use web::server::{Server, ServerCertificate};

use super::{Verdict, keep};
use crate::cli::Web as Arguments;
use crate::data_dir::{self, DataDir, Pair};
use crate::{clock, output};

/// Threads that drive requests. What waits for disks and databases, hashes or decodes has threads of its own.
const DRIVERS: usize = 2;
/// Those.
const WAITERS_MAX: usize = 64;

pub(super) fn run(arguments: &Arguments) -> Result<Verdict> {
    if let Some(parent) = arguments.parent {
        keep::belong_to(parent, arguments)?;
    }
    if arguments.keep {
        return keep::run();
    }
    let data = DataDir::open(&arguments.data.dir)?;
    let settings = settings(arguments, &data)?;
    let (key, url) = (settings.recording_key.is_some(), settings.url.clone());
    let app = App::new(settings, data.signer()?)?;
    let server = Server::bind(app.clone())?;
    let stopped = asked_to_stop()?;
    output::line(format_args!("{url} (listening on {})", server.address()?))?;
    output::line(format_args!("certificate SHA-256 {}", server.fingerprint()))?;
    if !key {
        output::line(
            "there is no private key: recordings are found, but not heard (--recording-key FILE)",
        )?;
    }
    if let Some(link) = app.set_up_link().map_err(|problem| anyhow::anyhow!(problem.detail))? {
        output::line(format_args!("make the first user, once: {link}"))?;
    }
    serve(server, stopped)?;
    Ok(Verdict::Done)
}

/// Comes with the first SIGTERM or SIGINT. Asked for before anybody is told where the server is: who knows may stop it.
fn asked_to_stop() -> Result<oneshot::Receiver<()>> {
    let (stop, stopped) = oneshot::channel();
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot wait for signals")?;
    // It waits for as long as the program runs.
    thread::Builder::new().name("signals".into()).spawn(move || {
        signals.forever().next();
        // Nobody waits for it if the server has ended by itself.
        let _ = stop.send(());
    })?;
    Ok(stopped)
}

fn serve(server: Server, stopped: oneshot::Receiver<()>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(DRIVERS)
        .max_blocking_threads(WAITERS_MAX)
        .thread_name("web")
        .enable_all()
        .build()
        .context("cannot start threads")?;
    runtime.block_on(server.run(async {
        let _ = stopped.await;
    }))?;
    Ok(())
}

fn settings(arguments: &Arguments, data: &DataDir) -> Result<Settings> {
    let node = data_dir::node_name();
    let port = arguments.listen.port();
    let url = arguments.url.clone().unwrap_or_else(|| format!("https://{node}:{port}"));
    let own =
        || ServerCertificate::Own { folder: data.keys(), names: names(&node, &url, arguments) };
    let given = arguments.certificate.clone().zip(arguments.key.clone());
    let certificate = given
        .map(|(certificate, key)| ServerCertificate::Given { certificate, key })
        .unwrap_or_else(own);
    let place = |name: &str| place(arguments, &arguments.data.dir.join(name));
    Ok(Settings {
        listen: arguments.listen,
        redirect: arguments.redirect,
        certificate,
        node,
        build: concat!("spanreel ", env!("CARGO_PKG_VERSION")).to_owned(),
        data: arguments.data.dir.clone(),
        recordings: data.recordings(),
        database: place("web.db"),
        catalog: place(store::CATALOG_NAME),
        recording_key: recording_key(arguments, data)?.map(Arc::new),
        catalog_key: data.catalog_key()?.map(Arc::new),
        node_certificates: data.node_certificates()?,
        now: clock::now,
        url,
    })
}

/// The key that is named, or the data folder's own, if it is there: it may be kept elsewhere.
fn recording_key(arguments: &Arguments, data: &DataDir) -> Result<Option<PrivateKey>> {
    let given = arguments.recording_key.as_deref();
    let own = data.key_path(Pair::Recording).exists();
    (given.is_some() || own).then(|| data.private_key(given)).transpose()
}

fn place(arguments: &Arguments, file: &Path) -> DatabasePlace {
    match &arguments.postgres {
        None => DatabasePlace::File(file.to_owned()),
        Some(url) => DatabasePlace::Postgres(PostgresSettings {
            url: url.clone(),
            password_file: arguments.postgres_password_file.clone(),
            ca: arguments.postgres_ca.clone(),
        }),
    }
}

/// What browsers may call this server: the URL's host first, this machine's name and addresses.
fn names(node: &str, url: &str, arguments: &Arguments) -> Vec<String> {
    let host = url.trim_start_matches("https://");
    let host = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(host),
    };
    let mut names = vec![host.to_owned(), node.to_owned(), "localhost".to_owned()];
    let listen = Some(arguments.listen.ip()).filter(|address| !address.is_unspecified());
    let outward = ["192.0.2.1:9", "[2001:db8::1]:9"].into_iter().filter_map(address_towards);
    let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
    names.extend(listen.into_iter().chain(outward).chain(loopback).map(|a| a.to_string()));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// The address that this machine would send from. Nothing is sent: connecting a UDP socket looks up the route only.
fn address_towards(example: &str) -> Option<IpAddr> {
    let example: SocketAddr = example.parse().ok()?;
    let any: IpAddr = if example.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(example).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
