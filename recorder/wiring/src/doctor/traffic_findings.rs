//! What the counts of some seconds of traffic mean.

use base::Outcome;
use base::ledger::Note;
use capture::nic::Counter;

use super::finding::{Finding, percent};
use super::listen::Traffic;

/// Above this share (percent), something is the rule; below, the exception.
const RULE: f64 = 90.0;
const EXCEPTION: f64 = 10.0;
/// Every packet twice makes half of them copies. Some datagrams never come twice, so a little less counts too.
const COPIES: f64 = 40.0;
/// A share that is worth a word.
const NOTEWORTHY: f64 = 1.0;
/// A mirror port filled more than this drops packets in bursts: the switch merges two directions into one.
const LOAD: f64 = 70.0;
/// Of fewer frames, shares say nothing.
const FRAMES_MIN: u64 = 100;
/// VLANs that are named; the rest are counted.
const VLANS_NAMED: usize = 8;

/// Judges what was seen.
pub(super) fn findings(traffic: &Traffic) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(interrupted(traffic));
    findings.push(rate(traffic));
    if traffic.observed.frames == 0 {
        return findings;
    }
    findings.extend(load(traffic));
    findings.push(losses(traffic));
    findings.extend([damage(traffic), sent(traffic)].into_iter().flatten());
    findings.push(internet(traffic));
    findings
        .extend([protocols(traffic), truncated(traffic), merged(traffic)].into_iter().flatten());
    findings.push(vlans(traffic));
    findings.extend(copies(traffic));
    findings.push(calls(traffic));
    findings.extend([directions(traffic), across(traffic)].into_iter().flatten());
    findings.extend([sip_directions(traffic), announced(traffic)].into_iter().flatten());
    findings.extend([missing(traffic), fragments(traffic)].into_iter().flatten());
    findings.extend([holes(traffic), malformed(traffic)].into_iter().flatten());
    findings
}

fn interrupted(traffic: &Traffic) -> Option<Finding> {
    let reason = traffic.interrupted.as_ref()?;
    let finding = Finding::problem("interruption", reason.clone())
        .meaning(format!(
            "Listening ended after {:.1} s; what follows is about that time.",
            traffic.seconds
        ))
        .advice(
            "See what takes the interface down: its cable, the switch, or a service on this host.",
        );
    Some(finding)
}

fn rate(traffic: &Traffic) -> Finding {
    let topic = "traffic";
    let seconds = traffic.seconds.max(0.001);
    let observed = &traffic.observed;
    if observed.frames == 0 {
        return Finding::problem(topic, format!("not one frame in {seconds:.0} s"))
            .meaning("The mirror session is not configured, or its destination is another port.")
            .advice(
                "Check it on the switch (`show monitor session`), and the cable. With an XDP program attached, \
                 that may take all of it.",
            );
    }
    let (frames, bits) = (observed.frames as f64, observed.bytes as f64 * 8.0);
    Finding::ok(
        topic,
        format!("{:.0} frames/s, {:.1} Mbit/s", frames / seconds, bits / seconds / 1e6),
    )
}

fn load(traffic: &Traffic) -> Option<Finding> {
    let speed = traffic.speed_megabits?;
    let megabits = traffic.observed.bytes as f64 * 8.0 / 1e6 / traffic.seconds.max(0.001);
    let share = megabits * 100.0 / f64::from(speed.max(1));
    (share > LOAD).then(|| {
        Finding::warning("load", format!("{share:.0} % of the port's {speed} Mbit/s"))
            .meaning(
                "A mirror merges what several ports receive and send into one. When that is more than the port \
                 takes, the switch drops packets, and tells nobody here.",
            )
            .advice("Mirror fewer ports or VLANs, or one direction of each, or to a faster port.")
    })
}

fn losses(traffic: &Traffic) -> Finding {
    let topic = "losses";
    let mut lost: Vec<String> = Vec::new();
    if traffic.ring.lost() > 0 {
        lost.push(format!("{} ring full", traffic.ring.lost()));
    }
    lost.extend(traffic.nic.losses().map(|(counter, count)| format!("{count} {}", counter.name())));
    if lost.is_empty() {
        return Finding::ok(topic, "none between the wire and here");
    }
    Finding::problem(topic, lost.join(", "))
        .meaning("Packets reached this machine, and it was too slow for them.")
        .advice("See the findings on queues, UDP hashing, the card's ring and the CPU above.")
}

fn damage(traffic: &Traffic) -> Option<Finding> {
    let damaged: Vec<String> = traffic
        .nic
        .named()
        .filter(|(counter, _)| counter.is_damage())
        .map(|(counter, count)| format!("{count} {}", counter.name()))
        .collect();
    (!damaged.is_empty()).then(|| {
        Finding::warning("damage", damaged.join(", "))
            .meaning("Packets came damaged, or longer than the interface takes, and were not captured.")
            .advice("Check cable and transceiver; if it is their length, raise the MTU (`ip link set ... mtu`).")
    })
}

fn sent(traffic: &Traffic) -> Option<Finding> {
    let sent = traffic.nic.of(Counter::TxPackets);
    (sent > 0).then(|| {
        Finding::note("sending", format!("this host sent {sent} packets out of the interface"))
            .meaning("A mirror port only listens. What the host sends itself is not counted here.")
    })
}

fn internet(traffic: &Traffic) -> Finding {
    let topic = "IP";
    let observed = &traffic.observed;
    let other = observed.ledger.of(Outcome::NotIp) + observed.ledger.of(Outcome::UnknownLink);
    let share = percent(other, observed.frames);
    if share <= 50.0 || observed.frames < FRAMES_MIN {
        return Finding::ok(topic, format!("{:.1} % of the frames", 100.0 - share));
    }
    Finding::warning(topic, format!("only {:.1} % of the frames", 100.0 - share))
        .meaning("The rest is switches' own talk, or IP within something that is not looked into (MPLS, PPPoE).")
        .advice("Check that the mirror shows the ports or VLANs where the calls are.")
}

fn protocols(traffic: &Traffic) -> Option<Finding> {
    let observed = &traffic.observed;
    let share = percent(observed.ledger.of(Outcome::OtherProtocol), observed.frames);
    (share > EXCEPTION && observed.frames >= FRAMES_MIN).then(|| {
        Finding::note("tunnels", format!("{share:.1} % of the frames are IP, but neither UDP nor TCP"))
            .meaning("These may be tunnels (GRE, ERSPAN, ESP), with calls in them that are not counted here.")
    })
}

fn truncated(traffic: &Traffic) -> Option<Finding> {
    let observed = &traffic.observed;
    let count = observed.truncated + observed.ledger.of(Outcome::Truncated);
    (count > 0).then(|| {
        let share = percent(count, observed.frames);
        Finding::problem("truncation", format!("{count} frames ({share:.1} %) are cut"))
            .meaning("The end of their sound or signalling is missing.")
            .advice("Switch truncation off in the mirror session (ERSPAN: no `truncate`, or a larger MTU on its way).")
    })
}

fn merged(traffic: &Traffic) -> Option<Finding> {
    let observed = &traffic.observed;
    (observed.merged > 0).then(|| {
        let share = percent(observed.merged, observed.frames);
        Finding::warning("merged packets", format!("{} frames ({share:.1} %) exceed the MTU", observed.merged))
            .meaning("The card or the kernel merges packets: their times and their number are not the wire's.")
            .advice(format!(
                "ethtool -K {} gro off lro off rx-gro-hw off rx-gro-list off rx-udp-gro-forwarding off",
                traffic.interface
            ))
    })
}

fn vlans(traffic: &Traffic) -> Finding {
    let topic = "VLANs";
    let observed = &traffic.observed;
    if observed.vlans.is_empty() {
        return Finding::ok(topic, "none: all frames are untagged");
    }
    let mut vlans: Vec<_> = observed.vlans.iter().collect();
    vlans.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let mut words: Vec<String> = vlans
        .iter()
        .take(VLANS_NAMED)
        .map(|(vlan, count)| format!("{vlan} ({:.0} %)", percent(**count, observed.frames)))
        .collect();
    if vlans.len() > VLANS_NAMED {
        words.push(format!("{} more", vlans.len() - VLANS_NAMED));
    }
    Finding::ok(topic, words.join(", "))
}

fn copies(traffic: &Traffic) -> Vec<Finding> {
    let observed = &traffic.observed;
    let share = |count| percent(count, observed.datagrams);
    let (same, across) = (share(observed.copies), share(observed.copies_across));
    let mut findings = Vec::new();
    if same > COPIES {
        let finding = Finding::warning("copies", format!("every packet comes twice ({same:.0} % are copies)"))
            .meaning("The mirror shows packets where they enter and where they leave. It costs half the capacity.")
            .advice("Mirror only what the ports receive (`rx`, `ingress`), or only one of the two ports.");
        findings.push(finding);
    } else if same > NOTEWORTHY {
        let finding = Finding::note("copies", format!("{same:.1} % of the datagrams come twice"))
            .meaning("Some of the mirrored ports show the same packets.");
        findings.push(finding);
    }
    if across > NOTEWORTHY {
        let found = format!("{across:.1} % of the datagrams come in two VLANs or tunnels");
        let finding = Finding::warning("copies across", found)
            .meaning("The mirror shows packets before and after they are routed: one call looks like two.")
            .advice("Mirror one of the VLANs only, or only what the router's ports receive.");
        findings.push(finding);
    }
    findings
}

fn calls(traffic: &Traffic) -> Finding {
    let topic = "calls";
    let (sip, streams) = (&traffic.observed.sip, &traffic.observed.streams);
    let seen = format!("{} SIP messages, {} RTP streams", sip.messages, streams.streams);
    match (sip.messages, streams.streams) {
        (0, 0) => Finding::problem(topic, "neither SIP nor RTP")
            .meaning("There was no call while it was listened, or the mirror does not show where calls are.")
            .advice("Place a call, run this again, and check which ports or VLANs are mirrored."),
        (0, _) => Finding::problem(topic, format!("RTP but no SIP: {seen}"))
            .meaning(
                "The sound is there, the signalling is not: calls would have no numbers. It takes another way, \
                 is encrypted (SIP over TLS, port 5061), or nobody called while it was listened.",
            )
            .advice("Mirror the ports of the SIP servers and border controllers too, and run this while calling."),
        (_, 0) if sip.answered > 0 => Finding::problem(topic, format!("SIP but no RTP: {seen}"))
            .meaning(format!(
                "{} calls were answered, and not one RTP packet came: the sound takes another way.",
                sip.answered
            ))
            .advice("Mirror the ports of the telephones and media servers too, not only of the SIP server."),
        (_, 0) => Finding::note(topic, format!("SIP but no RTP: {seen}"))
            .meaning("No call was answered while it was listened, so there need not be any.")
            .advice("Place a call, and run this again."),
        _ => {
            let (begun, answered) = (sip.calls, sip.answered);
            Finding::ok(topic, format!("{seen}; {begun} calls seen, {answered} of them answered"))
        }
    }
}

fn directions(traffic: &Traffic) -> Option<Finding> {
    let topic = "directions";
    let streams = &traffic.observed.streams;
    if streams.streams == 0 {
        return None;
    }
    let share = percent(streams.one_way, streams.streams);
    let found =
        format!("{} of {} RTP streams have no other direction", streams.one_way, streams.streams);
    let meaning = "Of such a call only one party is heard.";
    let advice = "Have the mirror session show both directions (`both`, or `rx` and `tx`) of the right ports.";
    Some(if share > RULE {
        Finding::problem(topic, format!("one direction only: {found}"))
            .meaning(meaning)
            .advice(advice)
    } else if share > EXCEPTION {
        Finding::warning(topic, found).meaning(meaning).advice(advice)
    } else {
        Finding::ok(topic, "both directions of the RTP streams are seen")
    })
}

fn across(traffic: &Traffic) -> Option<Finding> {
    let streams = &traffic.observed.streams;
    let share = percent(streams.across, streams.streams);
    (share > EXCEPTION).then(|| {
        let found = format!("the two directions of {share:.0} % of the streams are in different VLANs or tunnels");
        Finding::note("directions across", found)
            .meaning("Parties are put together by the signalling, so that this does no harm if it is seen too.")
    })
}

fn sip_directions(traffic: &Traffic) -> Option<Finding> {
    let sip = &traffic.observed.sip;
    let share = percent(sip.pairs_one_way, sip.pairs);
    let found =
        format!("between {} of {} pairs of hosts one way only", sip.pairs_one_way, sip.pairs);
    let finding = |finding: Finding| {
        finding
            .meaning("Requests without answers, or answers without requests: when a call is answered is not seen.")
            .advice("Have the mirror session show both directions of the SIP servers' ports.")
    };
    if sip.messages < 3 || share <= EXCEPTION {
        return None;
    }
    Some(finding(if share > RULE {
        Finding::problem("SIP directions", found)
    } else {
        Finding::warning("SIP directions", found)
    }))
}

fn announced(traffic: &Traffic) -> Option<Finding> {
    let topic = "announced media";
    let sip = &traffic.observed.sip;
    // Without any RTP, that is said already.
    if sip.media_expected == 0 || traffic.observed.streams.streams == 0 {
        return None;
    }
    let found = format!("RTP at {} of {} announced endpoints", sip.media_heard, sip.media_expected);
    let share = percent(sip.media_heard, sip.media_expected);
    let meaning = "The RTP that is seen is of other calls than the SIP, or goes to other addresses (NAT, a relay).";
    let advice =
        "Mirror the network on which the addresses in the SDP are, or the relay's other side too.";
    Some(if share < EXCEPTION {
        Finding::problem(topic, found).meaning(meaning).advice(advice)
    } else if share < RULE {
        Finding::warning(topic, found).meaning(meaning).advice(advice)
    } else {
        Finding::ok(topic, found)
    })
}

fn missing(traffic: &Traffic) -> Option<Finding> {
    let topic = "RTP loss";
    let streams = &traffic.observed.streams;
    if streams.expected == 0 {
        return None;
    }
    let missing = streams.expected.saturating_sub(streams.packets);
    let share = percent(missing, streams.expected);
    if share <= NOTEWORTHY {
        return Some(Finding::ok(topic, format!("{share:.2} % of the packets are missing")));
    }
    let finding = Finding::warning(topic, format!("{share:.1} % of the packets are missing"))
        .meaning("They were lost in the network, or the switch drops them on their way to the mirror port.")
        .advice(
            "Compare with the telephones' own figures (RTCP): if those are good, the mirror port is overloaded; \
             mirror less, or to a faster port.",
        );
    Some(finding)
}

fn fragments(traffic: &Traffic) -> Option<Finding> {
    let count = traffic.observed.ledger.noted(Note::DatagramIncomplete);
    (count > 0).then(|| {
        Finding::warning("fragments", format!("{count} IP datagrams are incomplete"))
            .meaning(
                "Large SIP messages come in fragments; without one of them, the message is lost.",
            )
            .advice("Check that the mirror shows fragments too (a filter by ports does not).")
    })
}

fn holes(traffic: &Traffic) -> Option<Finding> {
    let count = traffic.observed.ledger.noted(Note::TcpGap);
    (count > 0).then(|| {
        Finding::warning("TCP", format!("{count} holes in TCP connections that carry SIP"))
            .meaning("Segments did not reach this machine, and SIP messages in them are lost.")
            .advice("See whether the mirror port is overloaded, or shows one direction only.")
    })
}

fn malformed(traffic: &Traffic) -> Option<Finding> {
    let sip = &traffic.observed.sip;
    (sip.malformed > 0).then(|| {
        let share = percent(sip.malformed, sip.messages);
        Finding::note(
            "SIP syntax",
            format!("{} messages ({share:.1} %) cannot be understood", sip.malformed),
        )
    })
}
