//! Rings between a thread that takes packets and one other.

use std::mem::MaybeUninit;

use rtrb::{Consumer, Producer, RingBuffer};

/// A ring of `capacity` places, one thread at each end. No end ever waits for the other, not even for one that loses its CPU
/// in the middle of a push (as the ends of a queue for many threads do: there, the other end spins until it goes on).
///
/// Its memory is there from the start: a page's first touch would come in the middle of packets.
#[must_use]
pub fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let (mut producer, consumer) = RingBuffer::new(capacity);
    if let Ok(mut places) = producer.write_chunk_uninit(capacity) {
        let (first, second) = places.as_mut_slices();
        first.iter_mut().chain(second).for_each(|place| *place = MaybeUninit::zeroed());
    }
    (producer, consumer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_as_many_as_asked_for_and_in_order() {
        let (mut producer, mut consumer) = ring(3);
        for round in 0..5 {
            for number in 0..3 {
                producer.push(Box::new(10 * round + number)).unwrap();
            }
            assert!(producer.push(Box::new(99)).is_err(), "it is full");
            let taken: Vec<_> = std::iter::from_fn(|| consumer.pop().ok()).map(|it| *it).collect();
            assert_eq!(taken, [10 * round, 10 * round + 1, 10 * round + 2]);
        }
    }
}
