// SPDX-License-Identifier: BSD-2-Clause
//! What the tests of whole systems have Debian guests do: work in the background, look for complaints, end.

use std::time::Duration;

use crate::Guest;

/// How long a job may take: file transfers and fio of several guests on one emulated processor.
pub const JOB_TIMEOUT: Duration = Duration::from_secs(400);
/// How long a guest may take to power off.
const POWER_OFF_TIMEOUT: Duration = Duration::from_secs(120);

impl Guest {
    /// Starts a command in the guest that has the input, for [`Guest::finished`] to wait for.
    ///
    /// # Panics
    /// The guest does not answer.
    pub fn start(&mut self, name: &str, command: &str) {
        // In a shell of its own, so that this one does not report the end.
        self.run(&format!(
            "rm -f /tmp/{name}.status; ( {{ ({command}) > /tmp/{name}.out 2>&1; echo $? > /tmp/{name}.status; }} & )"
        ));
    }

    /// Waits for what [`Guest::start`] started. Gives what it printed.
    ///
    /// # Panics
    /// It does not end, or not well.
    pub fn finished(&mut self, name: &str) -> String {
        let status = self.run_within(
            &format!("while ! [ -s /tmp/{name}.status ]; do sleep 0.5; done; cat /tmp/{name}.status"),
            JOB_TIMEOUT,
        );
        let output = self.run(&format!("cat /tmp/{name}.out"));
        assert_eq!(status, "0", "{name}: {output}");
        output
    }

    /// Waits for the address that the emulator's DHCP server gives the guest that has the input.
    ///
    /// # Panics
    /// It does not.
    pub fn address(&mut self) -> String {
        let command = "for i in $(seq 60); do ip -4 -o addr show dev eth0 scope global | grep -q inet && break; sleep 0.5; done; \
                       ip -4 -o addr show dev eth0 scope global | awk '{print $4}' | cut -d/ -f1";
        let address = self.run_within(command, JOB_TIMEOUT);
        assert!(address.starts_with("10.0.2."), "address by DHCP: {address:?}");
        address
    }

    /// Nothing that a kernel complains about has happened.
    ///
    /// # Panics
    /// It has.
    pub fn assert_no_complaints(&mut self) {
        let pattern = "oops|BUG:|Unable to handle|I/O error|rcu.*stall|hung task|EXT4-fs error|Call trace";
        let complaints = self.run(&format!("dmesg | grep -i -E '{pattern}'"));
        assert_eq!(complaints, "");
    }

    /// Powers the first `count` of several guests off.
    ///
    /// # Panics
    /// One does not end.
    pub fn power_off_all(&mut self, count: u32) {
        for number in 0..count {
            let mark = self.console().mark();
            self.focus(number).send("poweroff\n");
            self.console()
                .expect_any(mark, &[&format!("vmm_{number}|INFO: guest powered off")], POWER_OFF_TIMEOUT)
                .unwrap_or_else(|error| panic!("guest {number}: {error}"));
        }
    }
}

/// A command that writes `size` (fio's, `24m` say) in pieces of many sizes all over a file, and reads and compares it.
#[must_use]
pub fn fio_verify(size: &str) -> String {
    format!(
        "fio --name=verify --filename=/root/verify --size={size} --rw=randwrite --bsrange=4k-64k --ioengine=libaio \
         --iodepth=16 --direct=1 --verify=crc32c --verify_fatal=1 --do_verify=1"
    )
}
