// SPDX-License-Identifier: BSD-2-Clause
//! Every device against a driver that does anything.

use crate::mock::hostile;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn queue_survives_any_driver(data in vec(any::<u8>(), 0..1500)) {
        hostile::queue(&data);
    }

    #[test]
    fn disk_survives_any_driver(data in vec(any::<u8>(), 0..2000)) {
        hostile::block(&data);
    }

    #[test]
    fn network_interface_survives_any_driver(data in vec(any::<u8>(), 0..2000)) {
        hostile::net(&data);
    }

    #[test]
    fn console_survives_any_driver(data in vec(any::<u8>(), 0..2000)) {
        hostile::console(&data);
    }

    #[test]
    fn source_of_entropy_survives_any_driver(data in vec(any::<u8>(), 0..2000)) {
        hostile::entropy(&data);
    }
}
