//! How often a session may send: a token bucket.

use std::time::Duration;

/// What one token weighs, so that each millisecond adds as many units as the rate has messages a minute: there
/// is nothing to round, and nothing drifts.
const TOKEN: i64 = 60_000;

/// Tokens that come back at a steady rate, up to a number. One session has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// What is left, in [`TOKEN`]s; below zero what is owed.
    level: i64,
    /// When that was, in milliseconds.
    at: u64,
    rate: u32,
    burst: u32,
}

impl Bucket {
    /// A full one. Zero is taken as one: whom nothing is allowed, the policy refuses.
    pub fn new(rate_per_minute: u32, burst: u32) -> Self {
        let (rate, burst) = (rate_per_minute.max(1), burst.max(1));
        Self { level: i64::from(burst) * TOKEN, at: 0, rate, burst }
    }

    /// Takes a token. `now` is in milliseconds of a clock that is the same at each call; where it goes back, no
    /// time has passed.
    ///
    /// # Errors
    /// How long to wait for the next token. Whoever asks meanwhile waits no longer for it.
    pub fn take(&mut self, now: u64) -> Result<(), Duration> {
        self.fill(now);
        if self.level >= TOKEN {
            self.level -= TOKEN;
            return Ok(());
        }
        Err(self.until(TOKEN))
    }

    /// Takes tokens whether they are there or not, and says how long it is until they were. Where everybody who asks
    /// waits so long before asking again, no more pass than the rate allows, however many ask at once.
    pub fn owe(&mut self, now: u64, tokens: u32) -> Duration {
        self.fill(now);
        self.level = self.level.saturating_sub(i64::from(tokens) * TOKEN);
        self.until(0)
    }

    fn fill(&mut self, now: u64) {
        let passed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        // Both factors can be any number; the full bucket is far below what saturates.
        let more = i64::try_from(passed.saturating_mul(u64::from(self.rate))).unwrap_or(i64::MAX);
        self.level = self.level.saturating_add(more).min(i64::from(self.burst) * TOKEN);
    }

    /// How long it takes to get there.
    fn until(&self, level: i64) -> Duration {
        let missing = u64::try_from(level.saturating_sub(self.level)).unwrap_or(0);
        Duration::from_millis(missing.div_ceil(u64::from(self.rate)))
    }
}

// There is one for each of thousands of sessions.
const _: () = assert!(size_of::<Bucket>() <= 24);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(wait: Result<(), Duration>) -> u128 {
        wait.unwrap_err().as_millis()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_counts() {
        let mut bucket = Bucket::new(100, 3);
        (0..3).for_each(|_| bucket.take(5).unwrap());
        assert_eq!(millis(bucket.take(5)), 600);
        assert_eq!(millis(bucket.take(505)), 100);
        assert_eq!(millis(bucket.take(604)), 1);
        bucket.take(605).unwrap();
        assert_eq!(millis(bucket.take(605)), 600);
    }

    #[test]
    fn what_is_not_used_is_kept_up_to_the_burst() {
        let mut bucket = Bucket::new(60, 2);
        (0..2).for_each(|_| bucket.take(0).unwrap());
        (0..2).for_each(|_| bucket.take(u64::MAX / 2).unwrap());
        assert_eq!(millis(bucket.take(u64::MAX / 2)), 1000);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_and_takes_nothing() {
        let mut bucket = Bucket::new(60, 1);
        bucket.take(10_000).unwrap();
        assert_eq!(millis(bucket.take(0)), 1000);
        assert_eq!(millis(bucket.take(10_999)), 1);
        bucket.take(11_000).unwrap();
    }

    #[test]
    fn a_rate_that_divides_no_minute_is_exact_over_a_day() {
        let mut bucket = Bucket::new(7, 1);
        let day = 24 * 60 * 60_000;
        let taken = (0..day).step_by(13).filter(|now| bucket.take(*now).is_ok()).count();
        // Each token may be taken up to 13 ms late, but what was late does not make the next one late.
        let exact = 7 * 24 * 60;
        assert!((exact - 24..=exact + 1).contains(&taken), "{taken} of {exact}");
        let mut patient = Bucket::new(7, 2);
        let (mut now, mut taken) = (0, 0);
        while now < day {
            match patient.take(now) {
                Ok(()) => taken += 1,
                Err(wait) => now += wait.as_millis() as u64,
            }
        }
        assert!((exact..=exact + 2).contains(&taken), "{taken} of {exact}");
    }

    #[test]
    fn who_owes_waits_for_all_that_is_owed() {
        let mut bucket = Bucket::new(60_000, 10);
        assert_eq!(bucket.owe(0, 10), Duration::ZERO);
        // Two at once: the second one waits for what the first one took.
        assert_eq!(bucket.owe(0, 50), Duration::from_millis(50));
        assert_eq!(bucket.owe(0, 50), Duration::from_millis(100));
        assert_eq!(millis(bucket.take(99)), 2);
        assert_eq!(bucket.owe(100, 0), Duration::ZERO);
        assert!(bucket.owe(100, u32::MAX) > Duration::from_secs(4_000_000));
        for _ in 0..10_000 {
            bucket.owe(100, u32::MAX);
        }
        assert!(bucket.owe(u64::MAX, 1) < Duration::from_secs(1 << 40));
    }

    #[test]
    fn no_number_is_too_large_or_too_small() {
        let mut bucket = Bucket::new(0, 0);
        bucket.take(0).unwrap();
        assert_eq!(millis(bucket.take(0)), 60_000);
        let mut bucket = Bucket::new(u32::MAX, u32::MAX);
        (0..10).for_each(|at| bucket.take(u64::MAX - at).unwrap());
    }

    proptest! {
        #[test]
        fn no_more_pass_than_rate_and_burst_allow(
            rate in 1_u32..10_000, burst in 1_u32..50, steps in prop::collection::vec(0_u64..500, 1..200),
        ) {
            let mut bucket = Bucket::new(rate, burst);
            let (mut now, mut passed) = (1_000, 0);
            for step in steps {
                now += step;
                passed += u64::from(bucket.take(now).is_ok());
                let token = TOKEN.unsigned_abs();
                prop_assert!(passed * token <= u64::from(burst) * token + (now - 1_000) * u64::from(rate));
            }
        }

        #[test]
        fn who_waits_as_told_may_send_and_who_waits_less_may_not(
            rate in 1_u32..10_000, burst in 1_u32..50, at in 0_u64..1 << 40,
        ) {
            let mut bucket = Bucket::new(rate, burst);
            while bucket.take(at).is_ok() {}
            let wait = bucket.take(at).unwrap_err().as_millis() as u64;
            prop_assert!(bucket.clone().take(at + wait - 1).is_err());
            prop_assert!(bucket.take(at + wait).is_ok());
        }
    }
}
