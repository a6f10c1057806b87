# SPDX-License-Identifier: BSD-2-Clause
#
# The front door. Every target first lets tools/setup.sh see to it that this machine has what is needed, then calls
# tools/xtask, where the work is done.

# A root task of one's own is expected to print by the kernel's debug calls.
ifeq ($(origin CONFIG),undefined)
root-task: CONFIG = debug
endif

BOARD  ?= qemu_virt_aarch64
CONFIG ?= release
SYSTEM ?= system.xml
export BOARD CONFIG SYSTEM EXTENSION

# Of `make run`, all optional; system.xml has the defaults.
export BOARDS VARIANT MICROKIT_SDK ROOT_TASK KERNEL INITRD CMDLINE RAM VCPUS KERNEL_1 INITRD_1 CMDLINE_1 RAM_1 VCPUS_1 DISK NET \
	BLK_LAYOUT PARTITION_0 PARTITION_1 PORT_0 PORT_1 SHARD DEVICE_TREE

XTASK = tools/setup.sh $(NEEDS) && . build/toolchain.env && { test -x target/debug/xtask || cargo build --package xtask; } && \
	cargo run --quiet --package xtask --

.DEFAULT_GOAL := help
.PHONY: help
help:
	@echo 'Bulkhead: unmodified operating systems side by side on one Arm machine'
	@echo
	@echo '  make run      boot two stock Debian guests in QEMU and connect this terminal to their console'
	@echo '  make test     run every test: on this machine and in the emulator'
	@echo '  make check    format, lints, documentation, host tests: before a commit'
	@echo '  make sweep    kill drivers and virtualisers at every point of their events, under load; goes on where it ended'
	@echo '  make bench    measure, counting instructions; a table, and build/bench.json'
	@echo '  make limits   measure round trips; tests hold them to what they have been at best: tests/limits/calls.txt'
	@echo '  make planted  plant bugs into a copy of the kernel, one at a time: its tests find them all (half an hour)'
	@echo '  make mutants  mutation testing of the kernel, SHARD=k/n of it (hours); docs/assurance.md has what came of it'
	@echo '  make miri     the tests of the kernel and the rings under Miri (needs a nightly toolchain)'
	@echo '  make graph    draw the system: build/graph.svg'
	@echo '  make image    build the system image only: build/image/'
	@echo '  make root-task ROOT_TASK=path    boot any root task for seL4, an ELF file, on our kernel (CONFIG=debug, DEVICE_TREE=path)'
	@echo '  make sdk      build the platform only: build/sdk/, a Microkit SDK with debug, release and benchmark'
	@echo '  make fetch    fetch the guest kernels and build their initramfs images'
	@echo '  make disk     make the disk of the guests: build/disk/disk.raw, or a copy of it, DISK=path'
	@echo '  make setup    install what is missing on this machine, nothing else'
	@echo '  make clean    remove all that was built; build/ keeps what was fetched'
	@echo
	@echo 'Variables, with their defaults:'
	@echo '  BOARD=$(BOARD)  CONFIG=$(CONFIG) (debug, benchmark, paranoid)  SYSTEM=$(SYSTEM)'
	@echo '  BOARDS=path                a folder with descriptions of boards of your own (docs/adding-a-board.md)'
	@echo '  VARIANT=                   another choice among the devices of the board: mini_uart of a Raspberry Pi 4'
	@echo '  MICROKIT_SDK=build/sdk     another Microkit SDK to build with'
	@echo '  EXTENSION=off              build our SDK without the kernel extension (docs/kernel-extension.md)'
	@echo '  KERNEL=debian-12           a guest of `make fetch` (debian-12, debian-12-cloud, debian-13, debian-13-cloud),'
	@echo '                             or the path of an arm64 kernel Image'
	@echo '  INITRD=  CMDLINE=          the path of an initramfs (or none), and the kernel command line'
	@echo '  RAM=512M  VCPUS=1          of each guest'
	@echo '  KERNEL_1= INITRD_1= ...    the same for guest 1 alone; what it is not given it has from guest 0'
	@echo '  DISK=path                  a disk that keeps what guests write (made if it is not there); without it they'
	@echo '                             start from a new one each time. BLK_LAYOUT=isolated (or direct: no copies)'
	@echo '  PARTITION_0=label:guest0   the part of the disk that guest 0 gets: label:NAME, partition:NUMBER, disk or'
	@echo '                             extent:FIRST+SECTORS, each with ,ro behind if it may not write; PARTITION_1 likewise'
	@echo '  PORT_0=                    what guest 0 may do on the network, for example ,deny:client1; PORT_1 likewise'
	@echo '  NET=                       options of the network: those of the netdev `user` of QEMU, for example'
	@echo '                             hostfwd=tcp:127.0.0.1:2222-10.0.2.20:22, or another netdev with its options'
	@echo '  STRIDE=1  MOST=100         of `make sweep`: at every so manieth point, of so many; VICTIMS=net_driver,...'
	@echo '  BENCH=boots|calls|loads    one part of `make bench`'
	@echo '  LOAD=blk_read_seq,...      of the loads only these; then BLK_LAYOUT= is the only layout if it is given, what bare'
	@echo '                             QEMU needs is kept in build/bench, and PROFILE=1 says where the instructions go'
	@echo
	@echo 'With standard input not a terminal, `make run` types what it reads there into guest 0, and ends when all guests'
	@echo 'have powered off: echo "uname -a" | make run'

.PHONY: run test check bench limits image sdk graph disk fetch
test: NEEDS = tests

.PHONY: root-task
root-task:
	@$(XTASK) $@
run test bench image sdk graph disk:
	@$(XTASK) $@
fetch:
	@$(XTASK) fetch all
check:
	@$(XTASK) check
.PHONY: planted mutants miri
planted mutants miri:
	@$(XTASK) $@
limits:
	@$(XTASK) bench --only calls --limits

.PHONY: sweep
sweep: NEEDS = tests
sweep: export STRIDE ?= 1
sweep: disk
	@tools/setup.sh $(NEEDS) && . build/toolchain.env && \
		cargo test --quiet --package harness --test kills -- --nocapture drivers

.PHONY: setup
setup:
	@tools/setup.sh

.PHONY: clean
clean:
	rm -rf target build/cargo build/sdk build/families build/image build/test build/bench build/bench.json build/graph.svg build/root-task \
		build/$(BOARD)
