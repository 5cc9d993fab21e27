//! Speech-like sound, cheap enough for ten thousand calls: made once, of syllables and of silence on a line, and read by
//! every call at places of its own.
//!
//! Time is a grid of slots of 240 ms, each with one syllable or a pause; ten slots are a turn, and the
//! parties take turns mostly. What a slot holds depends only on the call's [`Chance`], so any packet can be
//! read alone. Each packet carries a mark, drawn for it alone, in the lowest bits of its first code words: so no 20 ms
//! of one side's sound are anywhere else, though both sides may say the same syllable.

use super::chance::{Chance, Topic};
use super::g711::Law;

/// Samples of one packet: 20 ms at 8 kHz.
pub const PACKET_SAMPLES: usize = 160;
const SLOT_PACKETS: u32 = 12;
const SLOT_SAMPLES: usize = PACKET_SAMPLES * SLOT_PACKETS as usize;
const SLOTS_PER_TURN: u64 = 10;
const SYLLABLES: usize = 32;
/// Slots with a syllable, in pitches and loudnesses of their own, and slots without.
const SPOKEN_SLOTS: usize = 1_024;
const SILENT_SLOTS: usize = 128;
/// A slot may be read from so many samples after its begin on.
const ONSET_SAMPLES: usize = PACKET_SAMPLES;
/// Room for the longest syllable at the highest pitch, and the silence after it.
const SYLLABLE_SAMPLES: usize = 2_560;
const SAMPLE_RATE: f64 = 8_000.0;
/// A syllable's highest sample; with the largest gain it stays inside 16 bits.
const PEAK: f64 = 12_000.0;
/// Code words of a packet that carry a bit of its mark.
const MARK_BITS: usize = 64;
/// First three formants of eight vowels, Hz (Peterson and Barney 1952, men).
const VOWELS: [[f64; 3]; 8] = [
    [730.0, 1_090.0, 2_440.0],
    [530.0, 1_840.0, 2_480.0],
    [270.0, 2_290.0, 3_010.0],
    [570.0, 840.0, 2_410.0],
    [300.0, 870.0, 2_240.0],
    [440.0, 1_020.0, 2_240.0],
    [660.0, 1_720.0, 2_410.0],
    [490.0, 1_350.0, 1_690.0],
];

/// All sound that there is, as code words of either law: spoken slots, then silent ones.
pub(super) struct Bank {
    mu: Vec<u8>,
    a: Vec<u8>,
}

/// How one side of one call speaks.
#[derive(Clone, Copy)]
pub(super) struct Voice {
    syllables: Chance,
    marks: Chance,
    /// Shared by both sides, so that they agree on whose turn it is.
    turns: Chance,
    speaks_in_odd_turns: bool,
}

/// From where in the bank a slot is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot(u32);

impl Bank {
    pub(super) fn new(chance: Chance) -> Self {
        let chance = chance.on(Topic::Bank);
        let syllables: Vec<_> = (0..SYLLABLES).map(|i| syllable(i, chance.nth(i as u64))).collect();
        let mut noise = chance.on(Topic::Noise).bits();
        let mut samples = Vec::with_capacity((SPOKEN_SLOTS + SILENT_SLOTS + 1) * SLOT_SAMPLES);
        for slot in 0..SPOKEN_SLOTS {
            spoken(&syllables, chance.on(Topic::Syllable).nth(slot as u64), &mut samples);
        }
        // Who begins late in the last slot reads on behind it.
        samples.resize((SPOKEN_SLOTS + SILENT_SLOTS + 1) * SLOT_SAMPLES, 0);
        samples.iter_mut().for_each(|sample: &mut i16| *sample += line_noise(&mut noise));
        let encoded = |law: Law| samples.iter().map(|sample| law.encode(*sample)).collect();
        Self { mu: encoded(Law::Mu), a: encoded(Law::A) }
    }

    /// The payload of the packet `index` of `voice`.
    pub(super) fn render(&self, voice: &Voice, law: Law, index: u32) -> [u8; PACKET_SAMPLES] {
        let mut payload = [0; PACKET_SAMPLES];
        self.read(voice, voice.slot_of(index), law, index, &mut payload);
        payload
    }

    /// The same, if the packet's slot is known.
    #[inline]
    pub(super) fn read(
        &self,
        voice: &Voice,
        slot: Slot,
        law: Law,
        index: u32,
        to: &mut [u8; PACKET_SAMPLES],
    ) {
        if let Some(sound) = self.sound(slot, law, index) {
            *to = *sound;
        }
        voice.mark(index, to);
    }

    /// What a packet is made of, before it is marked.
    #[inline]
    pub(super) fn sound(&self, slot: Slot, law: Law, index: u32) -> Option<&[u8; PACKET_SAMPLES]> {
        let codes = match law {
            Law::Mu => &self.mu,
            Law::A => &self.a,
        };
        let from = slot.0 as usize + (index % SLOT_PACKETS) as usize * PACKET_SAMPLES;
        codes.get(from..)?.first_chunk()
    }
}

impl Voice {
    /// `call` is the call's chance, `side` the side's.
    pub(super) fn new(call: Chance, side: Chance, speaks_in_odd_turns: bool) -> Self {
        Self {
            syllables: side.on(Topic::Syllable),
            marks: side.on(Topic::Noise),
            turns: call.on(Topic::Turn),
            speaks_in_odd_turns,
        }
    }

    /// Whether the packet is the first of its slot.
    #[inline]
    pub(super) const fn begins_slot(index: u32) -> bool {
        index.is_multiple_of(SLOT_PACKETS)
    }

    /// The slot that the packet `index` is of.
    pub(super) fn slot_of(&self, index: u32) -> Slot {
        let number = index / SLOT_PACKETS;
        let chance = self.syllables.nth(number.into());
        let turn = u64::from(number) / SLOTS_PER_TURN;
        let both = self.turns.nth(turn).happens(8.0);
        let mine = both || (turn % 2 == 1) == self.speaks_in_odd_turns;
        // Speakers pause; listeners say a syllable now and then.
        let speaks = chance.on(Topic::Turn).happens(if mine { 84.0 } else { 4.0 });
        let slots =
            if speaks { 0..SPOKEN_SLOTS } else { SPOKEN_SLOTS..SPOKEN_SLOTS + SILENT_SLOTS };
        let slot = chance.between(slots.start as u64, slots.end as u64) as usize;
        let onset = chance.on(Topic::Phase).below(ONSET_SAMPLES as u64) as usize;
        Slot((slot * SLOT_SAMPLES + onset) as u32)
    }

    /// One bit for each of the first code words: whether its lowest bit is another.
    #[inline]
    fn mark(&self, index: u32, payload: &mut [u8; PACKET_SAMPLES]) {
        let mark = self.marks.nth(index.into()).bits();
        let (words, _) = payload.as_chunks_mut::<8>();
        for (shift, word) in words.iter_mut().enumerate().take(MARK_BITS / 8) {
            let bits = (mark >> shift) & 0x0101_0101_0101_0101;
            *word = (u64::from_le_bytes(*word) ^ bits).to_le_bytes();
        }
    }
}

/// Appends a slot with a syllable in some pitch and loudness.
#[expect(
    clippy::indexing_slicing,
    reason = "syllables of the bank are drawn, and the longest fits"
)]
fn spoken(syllables: &[[i16; SYLLABLE_SAMPLES]], chance: Chance, to: &mut Vec<i16>) {
    let syllable = &syllables[chance.below(SYLLABLES as u64) as usize];
    // Samples of the syllable for each that is heard, 15 fraction bits; 0.8 to 1.25.
    let pitch = chance.on(Topic::Voice).between(26_215, 40_960) as u32;
    // 12 fraction bits.
    let gain = chance.on(Topic::Turn).between(1_600, 9_000) as i32;
    to.extend((0..SLOT_SAMPLES as u32).map(|at| {
        let position = at * pitch;
        let place = (position >> 15) as usize;
        let (a, b) = (i32::from(syllable[place]), i32::from(syllable[place + 1]));
        let between = a + (((b - a) * (position & 0x7fff) as i32) >> 15);
        ((between * gain) >> 12) as i16
    }));
}

/// A step of a linear congruential generator (Knuth's MMIX), as a sample within 32 of zero.
#[inline]
fn line_noise(state: &mut u64) -> i16 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 58) as i16 - 32
}

/// A consonant of noise, then a vowel: pulses at the pitch of a man's or a woman's voice through three
/// resonators. Only additions and multiplications, so that every machine makes the same samples.
fn syllable(number: usize, chance: Chance) -> [i16; SYLLABLE_SAMPLES] {
    let formants = VOWELS.get(number % VOWELS.len()).copied().unwrap_or_default();
    let pitch_hz = if number % 16 < 8 { 95 + chance.below(40) } else { 170 + chance.below(60) };
    let length = chance.on(Topic::Phase).between(900, 1_400) as usize;
    let consonant = chance.on(Topic::Noise).below(300) as usize;
    let mut vowel = formants.map(Resonator::new);
    let mut hiss = Resonator::new(2_200.0 + chance.on(Topic::Voice).below(1_200) as f64);
    let (mut noise, mut glottis) = (chance.bits(), 0.0);
    let sound: Vec<f64> = (0..length)
        .map(|n| {
            glottis += (pitch_hz as f64 - n as f64 / 70.0) / SAMPLE_RATE;
            let pulse = if glottis >= 1.0 { 1.0 } else { 0.0 };
            glottis -= pulse;
            let voiced: f64 =
                vowel.iter_mut().zip([1.0, 0.6, 0.3]).map(|(f, a)| a * f.next(pulse)).sum();
            let unvoiced = hiss.next(f64::from(line_noise(&mut noise)) / 150.0);
            let fade = (n as f64 / 200.0).min((length - n) as f64 / 400.0).min(1.0);
            fade * if n < consonant { unvoiced } else { voiced }
        })
        .collect();
    let loudest = sound.iter().fold(f64::MIN_POSITIVE, |most, s| s.abs().max(most));
    let mut samples = [0; SYLLABLE_SAMPLES];
    for (sample, sound) in samples.iter_mut().zip(&sound) {
        *sample = (sound / loudest * PEAK) as i16;
    }
    samples
}

/// A two-pole filter that rings at one frequency (Klatt 1980), 90 Hz wide.
struct Resonator {
    gain: f64,
    near: f64,
    far: f64,
    last: [f64; 2],
}

impl Resonator {
    fn new(hz: f64) -> Self {
        let radius = 1.0 - std::f64::consts::PI * 90.0 / SAMPLE_RATE;
        let near = 2.0 * radius * cosine(hz / SAMPLE_RATE);
        let far = -radius * radius;
        Self { gain: 1.0 - near - far, near, far, last: [0.0; 2] }
    }

    fn next(&mut self, input: f64) -> f64 {
        let [one, two] = self.last;
        let output = self.gain * input + self.near * one + self.far * two;
        self.last = [output, one];
        output
    }
}

/// Of up to half a turn, by its series: the library's differs between machines in the last bit.
fn cosine(turns: f64) -> f64 {
    let angle = turns * std::f64::consts::TAU;
    let squared = angle * angle;
    let series = |sum: f64, n: u32| 1.0 - sum * squared / f64::from((2 * n - 1) * (2 * n));
    (1..=12).rev().fold(1.0, series)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voices() -> (Bank, Voice, Voice) {
        let root = Chance::new(1);
        let call = root.on(Topic::Call);
        let side = |topic, odd| Voice::new(call, call.on(topic), odd);
        (Bank::new(root), side(Topic::Caller, false), side(Topic::Callee, true))
    }

    fn power(bank: &Bank, voice: &Voice, packets: std::ops::Range<u32>) -> f64 {
        let samples = packets.flat_map(|i| bank.render(voice, Law::Mu, i));
        samples.map(|code| f64::from(Law::Mu.decode(code)).powi(2)).sum()
    }

    #[test]
    fn the_parties_take_turns() {
        let (bank, caller, callee) = voices();
        let turn = SLOT_PACKETS * SLOTS_PER_TURN as u32;
        let louder = (0..20)
            .filter(|n| {
                let packets = n * turn..(n + 1) * turn;
                let odd = n % 2 == 1;
                (power(&bank, &callee, packets.clone()) > power(&bank, &caller, packets)) == odd
            })
            .count();
        assert!(louder >= 16, "{louder} of 20 turns are the right party's");
    }

    #[test]
    fn syllables_are_loud_and_within_range() {
        let (bank, caller, _) = voices();
        for number in 0..SYLLABLES {
            let samples = syllable(number, Chance::new(1).nth(number as u64));
            let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap();
            assert!((11_990..=12_000).contains(&peak), "{peak}");
            assert!(samples[1_400..].iter().all(|s| *s == 0));
        }
        let mean = power(&bank, &caller, 0..1_500) / (1_500.0 * PACKET_SAMPLES as f64);
        assert!((500.0..8_000.0).contains(&mean.sqrt()), "{}", mean.sqrt());
    }

    #[test]
    fn what_two_sides_say_differs_in_every_packet() {
        let (bank, caller, callee) = voices();
        for index in 0..2_000 {
            // Even if they say the same.
            let same = |voice: &Voice| {
                let mut payload = [0; PACKET_SAMPLES];
                bank.read(voice, caller.slot_of(index), Law::Mu, index, &mut payload);
                payload
            };
            let (one, other) = (same(&caller), same(&callee));
            let differ = one.iter().zip(&other).filter(|(a, b)| a != b).count();
            assert!((10..MARK_BITS).contains(&differ), "{differ}");
            assert_eq!(one, bank.render(&caller, Law::Mu, index));
        }
    }

    #[test]
    fn the_cosine_is_one() {
        for i in 0..=500 {
            let turns = f64::from(i) / 1_000.0;
            assert!(
                (cosine(turns) - (turns * std::f64::consts::TAU).cos()).abs() < 1e-9,
                "{turns}"
            );
        }
    }
}
