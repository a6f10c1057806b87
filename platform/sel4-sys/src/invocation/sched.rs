// SPDX-License-Identifier: BSD-2-Clause
//! Scheduling contexts and domains.

use crate::{invocation_label, seL4_CPtr, seL4_DomainSet, seL4_Error, seL4_IPCBuffer, seL4_SchedContext};
use crate::{seL4_SchedControl, seL4_TCB, seL4_Time, seL4_Word};

/// Result of `seL4_SchedContext_Consumed`.
#[derive(Clone, Copy, Debug, Default)]
pub struct seL4_SchedContext_Consumed_ret {
    /// Error code.
    pub error: seL4_Error::Type,
    /// Microseconds consumed since the last query or time-out fault.
    pub consumed: seL4_Time,
}

/// Result of `seL4_SchedContext_YieldTo`.
#[derive(Clone, Copy, Debug, Default)]
pub struct seL4_SchedContext_YieldTo_ret {
    /// Error code.
    pub error: seL4_Error::Type,
    /// Microseconds consumed.
    pub consumed: seL4_Time,
}

impl seL4_IPCBuffer {
    /// Sets budget and period (microseconds; equal means round robin) of a scheduling context.
    #[expect(clippy::too_many_arguments, reason = "the method's own arguments")]
    pub fn seL4_SchedControl_ConfigureFlags(
        &mut self,
        service: seL4_SchedControl,
        schedcontext: seL4_SchedContext,
        budget: seL4_Time,
        period: seL4_Time,
        extra_refills: seL4_Word,
        badge: seL4_Word,
        flags: seL4_Word,
    ) -> seL4_Error::Type {
        let arguments = [budget, period, extra_refills, badge, flags];
        self.invoke(service, invocation_label::SchedControlConfigureFlags, arguments, [schedcontext]).0
    }

    /// Binds to a thread or notification.
    pub fn seL4_SchedContext_Bind(&mut self, service: seL4_SchedContext, cap: seL4_CPtr) -> seL4_Error::Type {
        self.invoke(service, invocation_label::SchedContextBind, [], [cap]).0
    }

    /// Unbinds from everything.
    pub fn seL4_SchedContext_Unbind(&mut self, service: seL4_SchedContext) -> seL4_Error::Type {
        self.invoke(service, invocation_label::SchedContextUnbind, [], []).0
    }

    /// Unbinds from one object.
    pub fn seL4_SchedContext_UnbindObject(
        &mut self,
        service: seL4_SchedContext,
        cap: seL4_CPtr,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::SchedContextUnbindObject, [], [cap]).0
    }

    /// Time consumed since the last query.
    pub fn seL4_SchedContext_Consumed(
        &mut self,
        service: seL4_SchedContext,
    ) -> seL4_SchedContext_Consumed_ret {
        let (error, [consumed, ..]) = self.invoke(service, invocation_label::SchedContextConsumed, [], []);
        seL4_SchedContext_Consumed_ret { error, consumed }
    }

    /// Runs the scheduling context's thread next, if its priority allows.
    pub fn seL4_SchedContext_YieldTo(&mut self, service: seL4_SchedContext) -> seL4_SchedContext_YieldTo_ret {
        let (error, [consumed, ..]) = self.invoke(service, invocation_label::SchedContextYieldTo, [], []);
        seL4_SchedContext_YieldTo_ret { error, consumed }
    }

    /// Moves a thread to a domain.
    pub fn seL4_DomainSet_Set(
        &mut self,
        service: seL4_DomainSet,
        domain: u8,
        thread: seL4_TCB,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::DomainSetSet, [domain.into()], [thread]).0
    }

    /// Sets entry `index` of the domain schedule; `duration` in timer ticks.
    pub fn seL4_DomainSet_ScheduleConfigure(
        &mut self,
        service: seL4_DomainSet,
        index: seL4_Word,
        domain: u8,
        duration: seL4_Time,
    ) -> seL4_Error::Type {
        let arguments = [index, domain.into(), duration];
        self.invoke(service, invocation_label::DomainScheduleConfigure, arguments, []).0
    }

    /// Sets the entry at which the domain schedule starts.
    pub fn seL4_DomainSet_ScheduleSetStart(
        &mut self,
        service: seL4_DomainSet,
        index: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(service, invocation_label::DomainScheduleSetStart, [index], []).0
    }
}
