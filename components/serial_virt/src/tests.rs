// SPDX-License-Identifier: BSD-2-Clause
//! The console with clients and a driver on ordinary memory.

use core::sync::atomic::Ordering;

use proptest::prelude::*;
use ring::memory::{LocalMemory, RingMemory, Word};
use ring::serial::{Consumer, Producer};

use crate::{Client, Name, Outcome, Virtualiser};

const RING: usize = 4096;

type Memory = LocalMemory<RING>;

/// A console with clients called a, b, c and so on.
struct Bench<'a> {
    virtualiser: Virtualiser<&'a Memory>,
    clients: Vec<(Producer<&'a Memory>, Consumer<&'a Memory>)>,
    terminal: Consumer<&'a Memory>,
    keyboard: Producer<&'a Memory>,
}

impl<'a> Bench<'a> {
    fn new(memory: &'a [Memory], clients: usize, has_timer: bool) -> Self {
        let mut rings = memory.iter();
        let mut ring = || rings.next().unwrap();
        let (to_driver, from_driver) = (ring(), ring());
        let mut virtualiser =
            Virtualiser::new(Producer::new(to_driver), Consumer::new(from_driver), has_timer);
        let mut ours = Vec::new();
        for letter in (b'a'..).take(clients) {
            let (output, input) = (ring(), ring());
            ours.push((Producer::new(output), Consumer::new(input)));
            let name: Name = [char::from(letter)].into_iter().collect();
            virtualiser.add_client(Client::new(name, Consumer::new(output), Producer::new(input)));
        }
        Self {
            virtualiser,
            clients: ours,
            terminal: Consumer::new(to_driver),
            keyboard: Producer::new(from_driver),
        }
    }

    fn service(&mut self) -> Outcome {
        let mut all = Outcome::default();
        for _ in 0..100 {
            let outcome = self.virtualiser.service();
            all.notify.driver |= outcome.notify.driver;
            all.notify.clients |= outcome.notify.clients;
            all.wait_a_moment = outcome.wait_a_moment;
            if !outcome.again {
                return all;
            }
        }
        panic!("never done");
    }

    fn write(&mut self, client: usize, text: &str) -> Outcome {
        assert_eq!(self.clients[client].0.write(text.as_bytes()), text.len());
        self.service()
    }

    fn press(&mut self, keys: &str) -> Outcome {
        self.keyboard.write(keys.as_bytes());
        self.service()
    }

    fn moment(&mut self) -> Outcome {
        self.virtualiser.moment_passed();
        self.service()
    }

    fn shown(&mut self) -> String {
        let mut buffer = [0; RING];
        let count = self.terminal.read(&mut buffer);
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    }

    fn input(&mut self, client: usize) -> String {
        let mut buffer = [0; RING];
        let count = self.clients[client].1.read(&mut buffer);
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    }
}

fn memory() -> Vec<Memory> {
    (0..10).map(|_| Memory::new()).collect()
}

#[test]
fn only_client_is_shown_without_a_tag_and_at_once() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 1, true);
    bench.write(0, "login: ");
    assert_eq!(bench.shown(), "login: ");
    bench.write(0, "root\r\n# ");
    assert_eq!(bench.shown(), "root\r\n# ");
    assert!(bench.virtualiser.service() == Outcome::default(), "nothing left to do");
}

#[test]
fn lines_carry_their_clients_name_and_a_carriage_return() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 2, true);
    bench.write(0, "one\ntwo\r\n");
    bench.write(1, "three\n");
    assert_eq!(bench.shown(), "a| one\r\na| two\r\nb| three\r\n");
}

#[test]
fn name_that_a_client_writes_itself_is_its_tag() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 2, true);
    bench.write(0, "a|INFO: one\nb|ERROR: two\nthree a|\n");
    assert_eq!(bench.shown(), "a|INFO: one\r\na| b|ERROR: two\r\na| three a|\r\n", "no other's name");
    bench.write(0, "a|WARN: broken off");
    bench.write(1, "other\n");
    bench.moment();
    bench.moment();
    assert_eq!(bench.shown(), "a|WARN: broken off\r\nb| other\r\n");
    bench.moment();
    bench.write(0, ", and on\n");
    assert_eq!(bench.shown(), "a|WARN: broken off, and on\r\n");
}

#[test]
fn prompt_appears_at_once_when_nobody_elses_line_is_open() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 2, true);
    bench.write(1, "# ");
    assert_eq!(bench.shown(), "b| # ");
}

#[test]
fn line_that_goes_on_is_not_broken() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 2, true);
    bench.write(0, "Linux ver");
    assert!(bench.write(1, "other\n").wait_a_moment);
    bench.write(0, "sion");
    assert!(bench.moment().wait_a_moment, "it went on meanwhile: another moment");
    assert_eq!(bench.shown(), "a| Linux version");
    bench.write(0, " 6.1\r\n");
    assert_eq!(bench.shown(), " 6.1\r\nb| other\r\n");
}

#[test]
fn idle_prompt_gives_way_after_a_moment_and_comes_back_when_it_is_quiet() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 2, true);
    bench.write(0, "# ");
    bench.moment();
    assert!(bench.write(1, "news\n").wait_a_moment);
    assert_eq!(bench.shown(), "a| # ");
    assert!(bench.moment().wait_a_moment);
    assert_eq!(bench.shown(), "\r\nb| news\r\n");
    bench.moment();
    assert!(!bench.moment().wait_a_moment);
    assert_eq!(bench.shown(), "a| # ");
    bench.write(0, "ls\r\n");
    assert_eq!(bench.shown(), "ls\r\n");
}

#[test]
fn without_a_timer_an_idle_line_gives_way_at_once() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 2, false);
    bench.write(0, "# ");
    bench.write(1, "news\n");
    bench.write(0, "l");
    assert_eq!(bench.shown(), "a| # \r\nb| news\r\na| # l");
}

#[test]
fn echo_of_a_key_does_not_wait_for_anybodys_line() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 2, true);
    bench.write(0, "# ");
    bench.moment();
    bench.write(1, "working");
    bench.moment();
    assert_eq!(bench.shown(), "a| # \r\nb| working");
    bench.press("l");
    bench.write(0, "l");
    assert_eq!(bench.shown(), "\r\na| # l");
}

#[test]
fn client_that_never_ends_its_line_cannot_keep_others_off() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 2, true);
    bench.clients[1].0.write(b"important\n");
    bench.write(0, &"x".repeat(3000));
    let shown = bench.shown();
    let position = shown.find("b| important").expect("shown in one go with the flood");
    assert!(position < 1300, "{position}");
    assert_eq!(shown.matches('x').count(), 3000);
}

#[test]
fn rewritten_line_keeps_its_tag() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 2, true);
    bench.write(0, "10%\r20%\r\n");
    assert_eq!(bench.shown(), "a| 10%\ra| 20%\r\n");
}

#[test]
fn input_goes_to_the_chosen_client_only() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 2, true);
    assert_eq!(bench.press("ls\r").notify.clients, 0b01);
    assert_eq!(bench.press("\x1d1id").notify.clients, 0b10);
    assert_eq!((bench.input(0), bench.input(1)), ("ls\r".into(), "id".into()));
    assert_eq!(bench.shown(), "console: input goes to 1 (b)\r\n");
}

#[test]
fn help_line_names_the_clients_and_ends_the_open_line() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 2, true);
    bench.write(0, "# ");
    bench.press("\x1dh");
    let shown = bench.shown();
    assert!(shown.starts_with("a| # \r\nconsole: "), "{shown}");
    assert!(shown.contains("0=a*") && shown.contains("1=b") && shown.ends_with("\r\n"), "{shown}");
    bench.moment();
    bench.moment();
    assert_eq!(bench.shown(), "a| # ", "the prompt comes back");
}

#[test]
fn client_that_does_not_exist_is_not_chosen() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 2, true);
    bench.press("\x1d9x");
    assert!(bench.shown().contains("0=a*"));
    assert_eq!(bench.input(0), "x");
}

#[test]
fn digits_count_the_clients_that_read() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 1, true);
    let (output, input) = (&memory[7], &memory[8]);
    let name = |name: &str| -> Name { name.chars().collect() };
    bench.virtualiser.add_client(Client::new(name("log"), Consumer::new(&memory[9]), None));
    bench.virtualiser.add_client(Client::new(name("b"), Consumer::new(output), Producer::new(input)));
    assert_eq!(bench.press("\x1d1id").notify.clients, 0b100);
    assert_eq!(bench.shown(), "console: input goes to 1 (b)\r\n");
    let mut typed = [0; 8];
    assert_eq!(Consumer::new(input).read(&mut typed), 2);
    bench.press("\x1d2");
    assert!(bench.shown().contains("input to 0=a 1=b*; x:"));
}

#[test]
fn client_shown_alone_is_shown_unchanged() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 2, true);
    bench.press("\x1dx");
    bench.shown();
    bench.write(0, "\x1b[2J\nmenu\r");
    bench.write(1, "hidden\n");
    assert_eq!(bench.shown(), "\x1b[2J\nmenu\r");
    bench.press("\x1dx");
    bench.moment();
    assert!(bench.shown().contains("b| hidden\r\n"));
}

#[test]
fn full_driver_stops_output_and_a_signal_continues_it() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 1, true);
    bench.virtualiser.service();
    for _ in 0..3 {
        bench.write(0, &"line\r\n".repeat(500));
        if bench.terminal.len() > 3500 {
            break;
        }
    }
    let first = bench.shown();
    assert!(first.len() < RING);
    assert!(bench.terminal.should_notify(), "it asked for the signal");
    bench.service();
    let all = first + &bench.shown();
    assert_eq!(all.len() % 3000, 0, "nothing lost: {}", all.len());
}

#[test]
fn input_for_a_client_that_does_not_read_is_dropped() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 2, true);
    for _ in 0..5 {
        bench.press(&"k".repeat(2000));
    }
    bench.press("\x1d1q");
    assert_eq!((bench.input(0).len(), bench.input(1)), (RING, "q".into()));
}

#[test]
fn client_with_impossible_indices_is_cut_off_and_the_others_go_on() {
    let memory = memory();
    let mut bench = Bench::new(&memory, 2, true);
    (&memory[2]).store(Word::Tail, 1 << 20, Ordering::Relaxed);
    bench.write(1, "fine\n");
    let shown = bench.shown();
    assert!(shown.contains("b| fine\r\n") && shown.contains("console: a is cut off"), "{shown}");
    bench.write(1, "still\n");
    assert_eq!(bench.shown(), "b| still\r\n");
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, String),
    Moment,
    Key(char),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..3, "[x\n]{0,12}").prop_map(|(client, text)| {
            // Each client writes its own letter.
            Step::Write(client, text.replace('x', &char::from(b'a' + client as u8).to_string()))
        }),
        2 => Just(Step::Moment),
        1 => prop::sample::select(vec!['k', '\x1d', '1', '?']).prop_map(Step::Key),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_terminal_line_mixes_clients_and_every_line_is_shown_whole(steps in prop::collection::vec(step(), 0..60)) {
        let memory = memory();
        let mut bench = Bench::new(&memory, 3, true);
        let mut written = [String::new(), String::new(), String::new()];
        let mut shown = String::new();
        for step in steps {
            match step {
                Step::Write(client, text) => {
                    written[client].push_str(&text);
                    bench.write(client, &text);
                }
                Step::Moment => {
                    bench.moment();
                }
                Step::Key(key) => {
                    bench.press(&key.to_string());
                }
            }
            shown += &bench.shown();
        }
        for _ in 0..8 {
            bench.moment();
        }
        shown += &bench.shown();
        let lines: Vec<&str> = shown.split("\r\n").collect();
        for line in &lines {
            let content = line.split_once("| ");
            let pure = content.is_some_and(|(tag, text)| text.chars().all(|c| tag == c.to_string()));
            prop_assert!(pure || line.is_empty() || line.starts_with("console: "), "{line:?}");
        }
        for (client, text) in written.iter().enumerate() {
            let tag = char::from(b'a' + client as u8);
            let mut rest = lines.iter();
            for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
                let whole = format!("{tag}| {}", line.trim_end());
                prop_assert!(rest.any(|shown| *shown == whole), "{whole:?} missing in {lines:?}");
            }
        }
    }
}

#[test]
fn a_client_that_only_writes_is_shown_and_loses_what_is_typed_for_it() {
    let memory: [Memory; 3] = core::array::from_fn(|_| Memory::new());
    let [to_driver, from_driver, output] = &memory;
    let mut virtualiser = Virtualiser::new(Producer::new(to_driver), Consumer::new(from_driver), false);
    let name: Name = "a".chars().collect();
    virtualiser.add_client(Client::new(name, Consumer::new(output), None));
    let (mut client, mut keyboard) = (Producer::new(output), Producer::new(from_driver));
    assert_eq!((client.write(b"hello\n"), keyboard.write(b"typed")), (6, 5));
    while virtualiser.service().again {}
    let mut shown = [0; 64];
    let count = Consumer::new(to_driver).read(&mut shown);
    assert!(shown[..count].windows(5).any(|part| part == b"hello"));
    assert!(virtualiser.take_driver_error().is_none());
}

#[test]
fn a_restart_is_told_with_who_has_the_input_now() {
    let memory: [Memory; 6] = core::array::from_fn(|_| Memory::new());
    let mut bench = Bench::new(&memory, 2, false);
    bench.virtualiser.tell_restart();
    assert!(bench.service().notify.driver);
    let shown = bench.shown();
    assert!(shown.contains("console: restarted, input goes to 0 (a)"), "{shown}");
}
