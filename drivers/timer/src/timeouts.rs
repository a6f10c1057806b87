// SPDX-License-Identifier: BSD-2-Clause
//! The time-outs of all clients. A client is a number below `CLIENTS`: the driver uses channel numbers.

/// A client's time-out, in ticks of the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timeout {
    None,
    Once { deadline: u64 },
    Every { deadline: u64, period: u64 },
}

impl Timeout {
    const fn deadline(self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Once { deadline } | Self::Every { deadline, .. } => Some(deadline),
        }
    }
}

/// One time-out for each of `CLIENTS` clients.
#[derive(Debug, Clone)]
pub struct Timeouts<const CLIENTS: usize> {
    clients: [Timeout; CLIENTS],
    /// A bit for each client that has one: few of many.
    set: u64,
}

impl<const CLIENTS: usize> Timeouts<CLIENTS> {
    /// No time-outs.
    pub const fn new() -> Self {
        const { assert!(CLIENTS <= u64::BITS as usize) };
        Self { clients: [Timeout::None; CLIENTS], set: 0 }
    }

    /// Sets `client`'s time-out to end once, `ticks` after `now`. A client that does not exist is ignored.
    pub fn set_once(&mut self, client: usize, now: u64, ticks: u64) {
        self.set(client, Timeout::Once { deadline: now.saturating_add(ticks) });
    }

    /// Sets `client`'s time-out to end every `period` ticks (at least 1) from `now` on.
    pub fn set_every(&mut self, client: usize, now: u64, period: u64) {
        let period = period.max(1);
        self.set(client, Timeout::Every { deadline: now.saturating_add(period), period });
    }

    /// Takes `client`'s time-out away.
    pub fn cancel(&mut self, client: usize) {
        self.set(client, Timeout::None);
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<u64> {
        bits(self.set).filter_map(|client| self.clients.get(client)?.deadline()).min()
    }

    /// Calls `notify` once for each client with a time-out that has ended by `now`, lowest number first, and sets periodic
    /// ones anew. Periods that were missed are left out, and the phase kept.
    pub fn expire(&mut self, now: u64, mut notify: impl FnMut(usize)) {
        for client in bits(self.set) {
            let timeout = self.clients.get(client).copied().unwrap_or(Timeout::None);
            if timeout.deadline().is_none_or(|deadline| deadline > now) {
                continue;
            }
            let next = match timeout {
                Timeout::Every { deadline, period } => {
                    let missed = (now - deadline) / period;
                    let step = period.saturating_mul(missed.saturating_add(1));
                    Timeout::Every { deadline: deadline.saturating_add(step), period }
                }
                Timeout::None | Timeout::Once { .. } => Timeout::None,
            };
            self.set(client, next);
            notify(client);
        }
    }

    fn set(&mut self, client: usize, timeout: Timeout) {
        if let Some(place) = self.clients.get_mut(client) {
            *place = timeout;
            let bit = 1 << client;
            self.set = if timeout == Timeout::None { self.set & !bit } else { self.set | bit };
        }
    }
}

/// The numbers of the bits that are set, lowest first.
fn bits(mut of: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let index = of.trailing_zeros();
        of &= of.wrapping_sub(1);
        (index < u64::BITS).then_some(index as usize)
    })
}

impl<const CLIENTS: usize> Default for Timeouts<CLIENTS> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expired<const N: usize>(timeouts: &mut Timeouts<N>, now: u64) -> Vec<usize> {
        let mut clients = Vec::new();
        timeouts.expire(now, |client| clients.push(client));
        clients
    }

    #[test]
    fn one_shot_ends_once_and_not_early() {
        let mut timeouts = Timeouts::<4>::new();
        timeouts.set_once(2, 100, 10);
        assert_eq!(timeouts.next_deadline(), Some(110));
        assert_eq!(expired(&mut timeouts, 109), []);
        assert_eq!(expired(&mut timeouts, 110), [2]);
        assert_eq!(expired(&mut timeouts, 1000), []);
        assert_eq!(timeouts.next_deadline(), None);
    }

    #[test]
    fn clients_do_not_disturb_each_other() {
        let mut timeouts = Timeouts::<4>::new();
        timeouts.set_once(0, 0, 30);
        timeouts.set_once(1, 0, 10);
        timeouts.set_every(3, 0, 20);
        assert_eq!(timeouts.next_deadline(), Some(10));
        timeouts.cancel(1);
        assert_eq!(timeouts.next_deadline(), Some(20));
        assert_eq!(expired(&mut timeouts, 30), [0, 3]);
        assert_eq!(timeouts.next_deadline(), Some(40));
    }

    #[test]
    fn setting_replaces_what_was_set() {
        let mut timeouts = Timeouts::<1>::new();
        timeouts.set_every(0, 0, 5);
        timeouts.set_once(0, 0, 50);
        assert_eq!(expired(&mut timeouts, 49), []);
        assert_eq!(expired(&mut timeouts, 50), [0]);
        assert_eq!(timeouts.next_deadline(), None);
    }

    #[test]
    fn missed_periods_are_one_expiry_and_the_phase_stays() {
        let mut timeouts = Timeouts::<1>::new();
        timeouts.set_every(0, 0, 10);
        assert_eq!(expired(&mut timeouts, 35), [0]);
        assert_eq!(timeouts.next_deadline(), Some(40));
    }

    #[test]
    fn client_out_of_range_is_ignored() {
        let mut timeouts = Timeouts::<2>::new();
        timeouts.set_once(2, 0, 1);
        assert_eq!(timeouts.next_deadline(), None);
    }

    #[test]
    fn deadline_beyond_the_counter_never_comes_early() {
        let mut timeouts = Timeouts::<1>::new();
        timeouts.set_once(0, 10, u64::MAX);
        assert_eq!(timeouts.next_deadline(), Some(u64::MAX));
        timeouts.set_every(0, u64::MAX - 1, 10);
        assert_eq!(expired(&mut timeouts, u64::MAX), [0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// After `expire(now)` nothing is due, and every periodic client is due within a period.
        #[test]
        fn nothing_due_is_left_behind(
            set in prop::collection::vec((0usize..5, 0u64..1000, 0u64..100, any::<bool>()), 0..20),
            now in 1000u64..3000,
        ) {
            let mut timeouts = Timeouts::<5>::new();
            for (client, at, ticks, every) in set {
                if every { timeouts.set_every(client, at, ticks) } else { timeouts.set_once(client, at, ticks) }
            }
            let mut notified = Vec::new();
            timeouts.expire(now, |client| notified.push(client));
            prop_assert!(notified.is_sorted_by(|a, b| a < b));
            prop_assert!(timeouts.next_deadline().is_none_or(|deadline| deadline > now && deadline <= now + 100));
        }
    }
}
