//! Real captures: as many SIP messages as their catalog says, and the same packets in every encapsulation.
//!
//! The captures lie beside the repository, or where `SPANREEL_CAPTURES` says; without them nothing is
//! tested here, and that is said.

use std::path::{Path, PathBuf};

use base::{Domain, Timestamp};
use capture::{FileSource, Poll, Source};

use crate::observe::{Observer, Seen};

/// Where the catalog, made with tshark, counts other messages than are to be found here: how many those
/// are, and why.
const EXCEPTIONS: [(&str, usize, &str); 26] = [
    ("CESNET__ipfixprobe/tests__functional__inputs__sip.pcap", 40, "5 are quoted in ICMP errors"),
    ("NormB__sipnab/tests__pcap-samples__DTMFsipinfo.pcap", 0, "PPPoE"),
    ("arkime__arkime/tests__pcap__gtp-iphone.pcap", 0, "GTP"),
    ("derived__rewrap/tcppcma__ipip.pcap", 0, "IP in IP"),
    ("derived__rewrap/udpopus__erspan1.pcap", 0, "ERSPAN"),
    ("derived__rewrap/udpopus__erspan2.pcap", 0, "ERSPAN"),
    ("derived__rewrap/udpopus__erspan3.pcap", 0, "ERSPAN"),
    ("derived__rewrap/udpopus__geneve.pcap", 0, "Geneve"),
    ("derived__rewrap/udpopus__gre_ip.pcap", 0, "GRE"),
    ("derived__rewrap/udpopus__gre_teb.pcap", 0, "GRE"),
    ("derived__rewrap/udpopus__gtpu.pcap", 0, "GTP"),
    ("derived__rewrap/udpopus__ipip.pcap", 0, "IP in IP"),
    ("derived__rewrap/udpopus__mpls2.pcap", 0, "MPLS"),
    ("derived__rewrap/udpopus__mpls_pw.pcap", 0, "MPLS"),
    ("derived__rewrap/udpopus__pppoe.pcap", 0, "PPPoE"),
    ("derived__rewrap/udpopus__tzsp.pcap", 0, "TZSP"),
    ("derived__rewrap/udpopus__vxlan.pcap", 0, "VXLAN"),
    (
        "derived__rfc4475/rfc4475_udp.pcap",
        48,
        "tshark takes 4 for data; SIP/7.0 is not ours either",
    ),
    ("derived__synth/sip_tls12_rsa.pcap", 0, "TLS"),
    ("derived__synth/sip_tls13.pcap", 0, "TLS"),
    ("derived__synth/sip_websocket.pcap", 0, "WebSocket"),
    ("irontec__sngrep/tests__ipip.pcap", 2, "2 are IP in IP"),
    ("ntop__nDPI/tests__cfgs__default__pcap__gre.pcapng", 0, "GRE"),
    ("ntop__nDPI/tests__cfgs__default__pcap__http_on_sip_port.pcap", 0, "HTTP on SIP's port"),
    (
        "raspberry-pi-maker__VoIP-related-codes/FreeSWITCH__Recording_using_mod_oreka__pcap__oreka1.pcapng",
        11,
        "tshark takes 2 on port 15060 for data",
    ),
    ("seladb__PcapPlusPlus/Tests__Packet++Test__PacketExamples__sip_reqs.pcap", 2, "2 are PPPoE"),
];

/// The folder of captures, if there is one.
fn folder() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures");
    let folder = std::env::var_os("SPANREEL_CAPTURES").map_or_else(|| beside.into(), PathBuf::from);
    if folder.join("catalog.tsv").is_file() {
        return Some(folder);
    }
    println!(
        "SKIPPED, 0 captures ran: no captures in {}; SPANREEL_CAPTURES says where",
        folder.display()
    );
    None
}

/// Everything that a capture gives. One that is damaged at its end gives what comes before.
fn observe(path: &Path) -> Observer {
    let mut observer = Observer::default();
    let mut source = FileSource::open(path).unwrap();
    let mut last = Timestamp::ZERO;
    loop {
        let polled = source.poll(&mut |frame| {
            last = frame.time;
            let _ = observer.frame(&frame);
        });
        if matches!(polled, Ok(Poll::End)) {
            break;
        }
    }
    observer.finish(last);
    observer
}

#[test]
fn as_many_messages_as_the_catalog_says() {
    let Some(folder) = folder() else { return };
    let catalog = std::fs::read_to_string(folder.join("catalog.tsv")).unwrap();
    let mut lines = catalog.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let column = |name: &str| names.iter().position(|column| *column == name).unwrap();
    let (path, kind, messages) = (column("path"), column("kind"), column("sip_messages"));
    let (mut ran, mut other, mut wrong) = (0, 0, Vec::new());
    for row in lines.filter(|row| row[kind] == "capture") {
        let given = observe(&folder.join("files").join(row[path])).messages().count();
        let exception = EXCEPTIONS.iter().find(|exception| exception.0 == row[path]);
        if let Some((name, expected, why)) = exception {
            println!("{expected} instead of {}: {name}: {why}", row[messages]);
            other += 1;
        }
        let expected =
            exception.map_or_else(|| row[messages].parse().unwrap(), |exception| exception.1);
        if given != expected {
            wrong.push(format!("{}: {given} messages, expected {expected}", row[path]));
        }
        ran += 1;
    }
    println!("{ran} captures ran, {other} of them with another count than the catalog's");
    assert_eq!(wrong, Vec::<String>::new());
}

/// Packets without their domain.
fn outside_domains(observer: &Observer) -> Vec<Seen> {
    let packets = observer.seen.iter().map(|(_, seen)| {
        let mut seen = seen.clone();
        match &mut seen {
            Seen::Sip { key, .. } | Seen::Udp { key, .. } => key.domain = Domain::UNTAGGED,
        }
        seen
    });
    packets.collect()
}

#[test]
fn one_call_is_the_same_in_every_encapsulation() {
    let Some(folder) = folder() else { return };
    let plain = folder.join("files/NormB__sipnab/tests__pcap-samples__invite-opus-bye.pcap");
    let plain = outside_domains(&observe(&plain));
    assert_eq!(plain.len(), 311);
    let variants = [
        "vlan.pcap",
        "qinq.pcap",
        "null.pcap",
        "rawip.pcap",
        "sll.pcap",
        "sll2.pcap",
        "ng.pcapng",
        "nsec.pcap",
        "ipfrag.pcap",
        "ipfrag_rev.pcap",
    ];
    for variant in variants {
        let path = folder.join("files/derived__rewrap").join(format!("udpopus__{variant}"));
        let observer = observe(&path);
        let domains = observer.seen.iter().map(|(_, seen)| match seen {
            Seen::Sip { key, .. } | Seen::Udp { key, .. } => key.domain,
        });
        let tagged = domains.filter(|domain| *domain != Domain::UNTAGGED).count();
        assert_eq!(tagged, if ["vlan.pcap", "qinq.pcap"].contains(&variant) { 311 } else { 0 });
        assert!(outside_domains(&observer) == plain, "{variant} differs:\n{}", observer.ledger);
    }
    println!("{} encapsulations of one call ran", variants.len());
}
