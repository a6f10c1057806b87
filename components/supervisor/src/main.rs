// SPDX-License-Identifier: BSD-2-Clause
//! The supervisor PD: parent of the PDs that are to be restarted when they crash or hang.
//!
//! Symbols: `config` and `config_size`, text (see [`supervisor::config`]); `heartbeat_ch`, the heartbeat; `witness_ch`, another one of
//! lower priority than all children (without it every beat counts in full); for the child with
//! id n `child<n>_ch`, which is the child's `watchdog_ch` (without it a hang is not found). Messages go to a console: `console_ch`, and the ring
//! `console_tx_queue`, `console_tx_data`, `console_tx_data_size`.
#![no_std]
#![no_main]

mod symbols;

use fault_report::{Report, instruction};
use sel4_microkit::{
    Channel, ChannelSet, Child, DAMAGED, ENTRY, Fault, Handler, Infallible, MessageInfo, REFUSE,
    protection_domain,
};
use supervisor::{Decision, MAX_CHILDREN, Name, Policy, Settings, config};
use symbols::Symbols;

struct Supervisor {
    symbols: Symbols,
    policy: Policy,
    /// The witness has run since the last beat.
    witnessed: bool,
}

impl Supervisor {
    fn name(&self, index: usize) -> Name {
        config::name(self.symbols.config, index)
    }

    /// A child has crashed or hangs, as `cause` says.
    fn failed(&mut self, index: usize, hopeless: bool, cause: core::fmt::Arguments<'_>) {
        let decision = self.policy.failed(index, hopeless);
        let (name, child) = (self.name(index), Child::new(index));
        match decision {
            Decision::Restart(count) => {
                log::warn!("{name}: {cause}; restart {count}");
                child.restart(ENTRY);
            }
            Decision::GiveUp => {
                log::error!("{name}: {cause}; given up, it stays stopped");
                child.restart(REFUSE);
            }
            Decision::Ignore => child.stop(),
        }
    }

    fn beat(&mut self) {
        // Without a witness nobody can tell.
        let everybody_could_run = core::mem::take(&mut self.witnessed) || self.symbols.witness.is_none();
        if let Some(late) = self.policy.beat(everybody_could_run) {
            let pc = Child::new(late).registers().pc;
            self.failed(late, false, format_args!("does not answer, at {pc:#x}"));
        }
        let asked = self.policy.to_be_asked();
        for (index, channel) in self.symbols.watchdogs.iter().enumerate() {
            if let Some(channel) = channel
                && asked & (1 << index) != 0
            {
                channel.notify();
            }
        }
    }
}

impl Handler for Supervisor {
    type Error = Infallible;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), Infallible> {
        let notified = |channel: &Option<Channel>| channel.is_some_and(|channel| channels.contains(channel));
        for index in 0..MAX_CHILDREN {
            if self.symbols.watchdogs.get(index).is_some_and(notified) {
                self.policy.answered(index);
            }
        }
        self.witnessed |= notified(&self.symbols.witness);
        if notified(&self.symbols.heartbeat) {
            console_log::retry();
            self.beat();
        }
        Ok(())
    }

    fn fault(&mut self, child: Child, info: MessageInfo) -> Result<Option<MessageInfo>, Infallible> {
        let fault = info.fault();
        let report = Report { fault: &fault, stack_bottom: None };
        match (&fault, instruction(&fault)) {
            (Fault::UnknownSyscall { syscall: DAMAGED, .. }, _) => {
                self.failed(child.index(), true, format_args!("what it needs for a restart is damaged"));
            }
            (_, Some(at)) => self.failed(child.index(), false, format_args!("{report}, at {at:#x}")),
            (_, None) => self.failed(child.index(), false, format_args!("{report}")),
        }
        // The child is running again or stopped; in both cases it waits for no answer.
        Ok(None)
    }
}

#[protection_domain(stack_size = 32 * 1024)]
fn init() -> impl Handler {
    let symbols = symbols::read();
    console_log::init();
    let settings = Settings::parse(symbols.config);
    let watched = symbols.watchdogs.iter().enumerate().filter(|(_, channel)| channel.is_some());
    let watched = watched.fold(0, |set, (index, _)| set | 1 << index);
    if symbols.heartbeat.is_none() {
        log::warn!("no heartbeat: a child that hangs is not found");
    }
    Supervisor { policy: Policy::new(settings, watched), symbols, witnessed: false }
}
