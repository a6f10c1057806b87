// SPDX-License-Identifier: BSD-2-Clause
//! What clients ask the timer driver, by protected call. A time-out that ends is a notification on the same channel.
//!
//! Requests 0 and 1 are those of sDDF's timer class. A client has one time-out: setting one replaces the one before. A
//! notification may still be under way when its time-out is replaced or cancelled, so a client compares times itself.
//! A driver that was restarted has forgotten all time-outs, and notifies every client: one that is notified before its time
//! sets its time-out again. That may fall together with the end of a periodic time-out; who must not miss the rest of them asks again
//! each time. A call during which the driver was restarted may simply be made again.

/// Label: the time. Answer: message register 0, nanoseconds since an arbitrary start, never going back.
pub const GET_TIME: u64 = 0;
/// Label: a time-out after message register 0 nanoseconds, once.
pub const SET_TIMEOUT: u64 = 1;
/// Label: a time-out every message register 0 nanoseconds; at least [`MIN_PERIOD_NS`].
pub const SET_PERIODIC: u64 = 2;
/// Label: no time-out any more.
pub const CANCEL: u64 = 3;

/// Label of an answer: done.
pub const OK: u64 = 0;
/// Label of an answer: not a request, or one without its argument.
pub const BAD_REQUEST: u64 = 1;

/// Shortest period. A shorter one is lengthened: expiries must leave time for everybody else.
pub const MIN_PERIOD_NS: u64 = 100_000;

/// A decoded request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// The time.
    GetTime,
    /// One time-out after so many nanoseconds.
    SetTimeout(u64),
    /// A time-out every so many nanoseconds.
    SetPeriodic(u64),
    /// No time-out.
    Cancel,
}

impl Request {
    /// The request with this label, number of message registers, and message register 0; `None` if there is none such.
    pub const fn decode(label: u64, count: usize, argument: u64) -> Option<Self> {
        match (label, count) {
            (GET_TIME, _) => Some(Self::GetTime),
            (SET_TIMEOUT, 1..) => Some(Self::SetTimeout(argument)),
            (SET_PERIODIC, 1..) if argument < MIN_PERIOD_NS => Some(Self::SetPeriodic(MIN_PERIOD_NS)),
            (SET_PERIODIC, 1..) => Some(Self::SetPeriodic(argument)),
            (CANCEL, _) => Some(Self::Cancel),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_without_its_argument_is_refused() {
        assert_eq!(Request::decode(SET_TIMEOUT, 0, 5), None);
        assert_eq!(Request::decode(SET_TIMEOUT, 1, 5), Some(Request::SetTimeout(5)));
        assert_eq!(Request::decode(SET_PERIODIC, 0, MIN_PERIOD_NS), None);
        assert_eq!(Request::decode(4, 1, 0), None);
    }

    #[test]
    fn period_is_never_shorter_than_the_minimum() {
        assert_eq!(Request::decode(SET_PERIODIC, 1, 0), Some(Request::SetPeriodic(MIN_PERIOD_NS)));
        assert_eq!(Request::decode(SET_PERIODIC, 1, 7_000_000), Some(Request::SetPeriodic(7_000_000)));
    }
}
