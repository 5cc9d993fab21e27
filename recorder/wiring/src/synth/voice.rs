//! Speech-like sound, cheap enough for thousands of calls: syllables made once, played by every call in
//! its own pitch, order, loudness and turns.
//!
//! Time is a grid of slots of 240 ms, each with one syllable or a pause; ten slots are a turn, and the
//! parties take turns mostly. What a slot holds depends only on the call's [`Chance`], so any packet can be
//! rendered alone. Order, pitch, loudness and line noise are drawn per side, so that a second of one side's
//! sound is in no other.

use super::chance::{Chance, Topic};
use super::g711::Law;

/// Samples of one packet: 20 ms at 8 kHz.
pub const PACKET_SAMPLES: usize = 160;
const SLOT_PACKETS: u32 = 12;
const SLOTS_PER_TURN: u64 = 10;
const SYLLABLES: usize = 32;
/// Room for the longest syllable at the highest pitch, and the silence after it.
const SYLLABLE_SAMPLES: usize = 2_560;
const SAMPLE_RATE: f64 = 8_000.0;
/// A syllable's highest sample; with the largest gain it stays inside 16 bits.
const PEAK: f64 = 12_000.0;
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

/// The syllables.
pub(super) struct Bank(Vec<[i16; SYLLABLE_SAMPLES]>);

/// How one side of one call speaks.
#[derive(Clone, Copy)]
pub(super) struct Voice {
    chance: Chance,
    /// Shared by both sides, so that they agree on whose turn it is.
    turns: Chance,
    speaks_in_odd_turns: bool,
    /// Bank positions per sample, 15 fraction bits; 0.8 to 1.25.
    pitch: u32,
}

/// One slot of one side.
struct Slot {
    syllable: usize,
    onset_samples: u32,
    /// 12 fraction bits.
    gain: i32,
}

impl Bank {
    pub(super) fn new(chance: Chance) -> Self {
        let chance = chance.on(Topic::Bank);
        Self((0..SYLLABLES).map(|i| syllable(i, chance.nth(i as u64))).collect())
    }

    /// The payload of the packet `index` of `voice`.
    pub(super) fn render(&self, voice: &Voice, law: Law, index: u32) -> [u8; PACKET_SAMPLES] {
        let mut noise = voice.chance.on(Topic::Noise).nth(index.into()).bits();
        let mut payload = [0; PACKET_SAMPLES];
        match voice.slot(index / SLOT_PACKETS) {
            None => payload.iter_mut().for_each(|code| *code = law.encode(line_noise(&mut noise))),
            Some(slot) => {
                let first = index % SLOT_PACKETS * PACKET_SAMPLES as u32;
                for (code, at) in payload.iter_mut().zip(first..) {
                    let played = at.saturating_sub(slot.onset_samples) * voice.pitch;
                    let sound = (self.sample(slot.syllable, played) * slot.gain) >> 12;
                    *code = law.encode(sound as i16 + line_noise(&mut noise));
                }
            }
        }
        payload
    }

    /// Between two samples of the bank, on a straight line.
    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "slots draw syllables of the bank, and the longest fits"
    )]
    fn sample(&self, syllable: usize, position: u32) -> i32 {
        let samples = &self.0[syllable];
        let at = (position >> 15) as usize;
        let (a, b) = (i32::from(samples[at]), i32::from(samples[at + 1]));
        a + (((b - a) * (position & 0x7fff) as i32) >> 15)
    }
}

impl Voice {
    /// `call` is the call's chance, `side` the side's.
    pub(super) fn new(call: Chance, side: Chance, speaks_in_odd_turns: bool) -> Self {
        let pitch = side.on(Topic::Voice).between(26_215, 40_960) as u32;
        Self { chance: side, turns: call.on(Topic::Turn), speaks_in_odd_turns, pitch }
    }

    fn slot(&self, number: u32) -> Option<Slot> {
        let chance = self.chance.on(Topic::Syllable).nth(number.into());
        let turn = u64::from(number) / SLOTS_PER_TURN;
        let both = self.turns.nth(turn).happens(8.0);
        let mine = both || (turn % 2 == 1) == self.speaks_in_odd_turns;
        // Speakers pause; listeners say a syllable now and then.
        chance.on(Topic::Turn).happens(if mine { 84.0 } else { 4.0 }).then(|| Slot {
            syllable: chance.below(SYLLABLES as u64) as usize,
            onset_samples: chance.on(Topic::Phase).below(160) as u32,
            gain: chance.on(Topic::Voice).between(1_600, 9_000) as i32,
        })
    }
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
        for samples in &bank.0 {
            let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap();
            assert!((11_990..=12_000).contains(&peak), "{peak}");
            assert!(samples[1_400..].iter().all(|s| *s == 0));
        }
        let mean = power(&bank, &caller, 0..1_500) / (1_500.0 * PACKET_SAMPLES as f64);
        assert!((500.0..8_000.0).contains(&mean.sqrt()), "{}", mean.sqrt());
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
