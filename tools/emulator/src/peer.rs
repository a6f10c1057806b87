// SPDX-License-Identifier: BSD-2-Clause
//! The other end of a guest's connections: small servers on this machine's loopback, which QEMU's user network shows to
//! guests as [`ADDRESS`].

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// This machine as a guest sees it (QEMU's documentation, "Network emulation").
pub const ADDRESS: &str = "10.0.2.2";

/// Bytes of a datagram, without headers: what a packet of 1500 has room for, less a little.
pub const DATAGRAM: usize = 1400;
/// Most datagrams that are sent for one that asks for them.
pub const MOST_DATAGRAMS: u32 = 64;

/// A server on a port of its own. It runs as long as the program.
pub struct Peer {
    /// Its port.
    pub port: u16,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    bytes: AtomicU64,
    ended: AtomicU64,
}

impl Peer {
    /// Sends a file to everyone who connects.
    ///
    /// # Errors
    /// No port is free.
    pub fn sending(file: PathBuf) -> io::Result<Self> {
        Self::tcp(move |mut stream, counts| {
            counts.bytes.fetch_add(io::copy(&mut File::open(&file)?, &mut stream)?, Ordering::Release);
            stream.shutdown(Shutdown::Write)?;
            // The connection is over when the other side says so.
            io::copy(&mut stream, &mut io::sink()).map(|_| ())
        })
    }

    /// Sends so many zeros to everyone who connects and asks for them, by their number in decimal and a line feed.
    ///
    /// # Errors
    /// No port is free.
    pub fn sending_zeros() -> io::Result<Self> {
        Self::tcp(|mut stream, counts| {
            let mut wanted: u64 = 0;
            let mut byte = [0];
            while stream.read(&mut byte)? == 1 && byte[0].is_ascii_digit() {
                wanted = wanted.saturating_mul(10).saturating_add(u64::from(byte[0] - b'0'));
            }
            let sent = io::copy(&mut io::repeat(0).take(wanted), &mut stream)?;
            counts.bytes.fetch_add(sent, Ordering::Release);
            stream.shutdown(Shutdown::Write)
        })
    }

    /// Writes what the next one who connects sends into a file, and what a later one sends into the same again.
    ///
    /// # Errors
    /// No port is free.
    pub fn receiving(file: PathBuf) -> io::Result<Self> {
        Self::tcp(move |mut stream, counts| {
            let count = io::copy(&mut stream, &mut File::create(&file)?)?;
            counts.bytes.fetch_add(count, Ordering::Release);
            Ok(())
        })
    }

    /// Sends everything back.
    ///
    /// # Errors
    /// No port is free.
    pub fn echoing() -> io::Result<Self> {
        Self::tcp(|stream, counts| {
            let count = io::copy(&mut &stream, &mut &stream)?;
            counts.bytes.fetch_add(count, Ordering::Release);
            stream.shutdown(Shutdown::Write)
        })
    }

    /// Receives and forgets. Answers the end of a connection with its own, so that the sender knows that all arrived.
    ///
    /// # Errors
    /// No port is free.
    pub fn forgetting() -> io::Result<Self> {
        Self::tcp(|mut stream, counts| {
            let mut buffer = vec![0; 1 << 18];
            while let count @ 1.. = stream.read(&mut buffer)? {
                counts.bytes.fetch_add(count as u64, Ordering::Release);
            }
            stream.shutdown(Shutdown::Both)
        })
    }

    /// Receives datagrams and forgets them.
    ///
    /// # Errors
    /// No port is free.
    pub fn forgetting_datagrams() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = socket.local_addr()?.port();
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(count) = socket.recv(&mut buffer) {
                shared.bytes.fetch_add(count as u64, Ordering::Release);
            }
        });
        Ok(Self { port, counts })
    }

    /// Sends datagrams to whoever asks for them, by their number in decimal: those of [`DATAGRAM`] zeros, at most so many that
    /// nothing between the two ends has to drop one ([`MOST_DATAGRAMS`]).
    ///
    /// # Errors
    /// No port is free.
    pub fn sending_datagrams() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = socket.local_addr()?.port();
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            let mut buffer = [0; 16];
            while let Ok((count, from)) = socket.recv_from(&mut buffer) {
                let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned();
                for _ in 0..text.parse().unwrap_or(0).min(MOST_DATAGRAMS) {
                    // One that cannot be sent is one that is lost: whoever counts asks again.
                    let sent = socket.send_to(&[0; DATAGRAM], from).unwrap_or(0);
                    shared.bytes.fetch_add(sent as u64, Ordering::Release);
                }
            }
        });
        Ok(Self { port, counts })
    }

    fn tcp(serve: impl Fn(TcpStream, &Counts) -> io::Result<()> + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (serve, counts) = (Arc::clone(&serve), Arc::clone(&shared));
                thread::spawn(move || {
                    // A connection that breaks off is one whose bytes are missing: whoever counts sees it.
                    let _ = serve(stream, &counts);
                    counts.ended.fetch_add(1, Ordering::Release);
                });
            }
        });
        Ok(Self { port, counts })
    }

    /// Bytes sent or received so far, all connections together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.counts.bytes.load(Ordering::Acquire)
    }

    /// Waits until so many connections are over. Returns whether they are.
    #[must_use]
    pub fn wait_ended(&self, connections: u64, timeout: Duration) -> bool {
        let begin = Instant::now();
        while self.counts.ended.load(Ordering::Acquire) < connections {
            if begin.elapsed() > timeout {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn zeros_are_as_many_as_asked_for() {
        let peer = Peer::sending_zeros().unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, peer.port)).unwrap();
        stream.write_all(b"70000\n").unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, vec![0; 70000]);
    }

    #[test]
    fn datagrams_are_as_many_as_asked_for_and_not_too_many() {
        let peer = Peer::sending_datagrams().unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        for (asked, sent) in [("2", 2), ("nonsense", 0), ("1000000", MOST_DATAGRAMS)] {
            socket.send_to(asked.as_bytes(), (Ipv4Addr::LOCALHOST, peer.port)).unwrap();
            for _ in 0..sent {
                assert_eq!(socket.recv(&mut [0; 2048]).unwrap(), DATAGRAM);
            }
        }
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(socket.recv(&mut [0; 2048]).is_err());
    }

    #[test]
    fn what_arrives_is_counted_and_its_end_answered() {
        let peer = Peer::forgetting().unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, peer.port)).unwrap();
        stream.write_all(&[7; 3000]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        assert!(peer.wait_ended(1, SOON));
        assert_eq!(peer.bytes(), 3000);
    }
}
