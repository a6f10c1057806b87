// SPDX-License-Identifier: BSD-2-Clause
//! Channels: a notification, an endpoint or both for each end that may use them.

use sdf::{Channel, ChannelEnd};
use system_spec::record::CapTo;

use super::Builder;
use crate::layout::{self, pd_slot, rights};

impl Builder<'_> {
    /// Gives both ends what they may use of the other.
    pub(super) fn channel(&mut self, channel: &Channel) {
        let [a, b] = &channel.ends;
        self.end(a, b);
        self.end(b, a);
    }

    fn end(&mut self, own: &ChannelEnd, peer: &ChannelEnd) {
        let (Some(pd), Some(peer_pd)) = (self.pds.get(own.pd), self.pds.get(peer.pd)) else { return };
        let id = u32::from(own.id);
        if own.notify {
            let cap = CapTo::Object(peer_pd.notification);
            let slot = pd_slot::OUTPUT_NOTIFICATION + id;
            self.model.slot(pd.cnode, slot, cap, rights::READ_WRITE, 1 << peer.id);
        }
        if let (true, Some(endpoint)) = (own.pp, peer_pd.endpoint) {
            let cap = CapTo::Object(endpoint);
            let badge = layout::CALL_BADGE | u64::from(peer.id);
            let slot = pd_slot::OUTPUT_ENDPOINT + id;
            self.model.slot(pd.cnode, slot, cap, rights::READ_WRITE_GRANT, badge);
        }
    }
}
