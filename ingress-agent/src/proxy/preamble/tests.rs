use super::*;

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = v2::SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend(body);
    bytes
}

/// 192.0.2.7:1000 to 198.51.100.1:443.
const ADDRESSES: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x03, 0xe8, 0x01, 0xbb];

fn proxied(source: &str, destination: &str) -> Preamble {
    Preamble::Proxied {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

/// Feeds a header in pieces of `size` bytes with a request behind it; nothing of the request may be taken.
async fn read_in_pieces(header: &[u8], size: usize) -> Result<Preamble, PreambleError> {
    let rest = b"GET / HTTP/1.1\r\n";
    let mut builder = tokio_test(header, rest, size);
    let read = read(&mut builder).await;
    if read.is_ok() {
        let mut left = Vec::new();
        builder.read_to_end(&mut left).await.unwrap();
        assert_eq!(left, rest, "in pieces of {size}");
    }
    read
}

/// A stream that gives at most `size` bytes at a time.
fn tokio_test(header: &[u8], rest: &[u8], size: usize) -> impl AsyncRead + Unpin + use<> {
    let (mut write, read) = tokio::io::duplex(size);
    let bytes = [header, rest].concat();
    tokio::spawn(async move {
        // The reader may have given up on what it saw.
        _ = tokio::io::AsyncWriteExt::write_all(&mut write, &bytes).await;
    });
    read
}

#[tokio::test]
async fn sound_headers_in_pieces_of_every_size() {
    let six = [[0x20; 16], [0x21; 16]].concat();
    let six = [&six[..], &[0, 1, 0, 2]].concat();
    let tlvs = [&ADDRESSES[..], &[0x04, 0, 0], &[0xea, 0, 3, 1, 2, 3]].concat();
    let four = proxied("192.0.2.7:1000", "198.51.100.1:443");
    let cases: [(Vec<u8>, Preamble); 9] = [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1000 443\r\n".to_vec(), four),
        (
            b"PROXY TCP6 2001:db8::7 ::1 65535 0\r\n".to_vec(),
            proxied("[2001:db8::7]:65535", "[::1]:0"),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), Preamble::Local),
        (b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n".to_vec(), Preamble::Local),
        (v2(0x21, 0x11, &ADDRESSES), four),
        (v2(0x21, 0x11, &tlvs), four),
        (
            v2(0x21, 0x21, &six),
            proxied(
                "[2020:2020:2020:2020:2020:2020:2020:2020]:1",
                "[2121:2121:2121:2121:2121:2121:2121:2121]:2",
            ),
        ),
        (v2(0x20, 0x00, &[]), Preamble::Local),
        (v2(0x21, 0x00, &[1, 2, 3]), Preamble::Local),
    ];
    for (header, expected) in cases {
        for size in [1, 2, 7, 13, 4096] {
            assert_eq!(
                read_in_pieces(&header, size).await.unwrap(),
                expected,
                "{header:?} by {size}"
            );
        }
    }
}

#[tokio::test]
async fn malformed_headers_are_told_apart_from_absent_ones() {
    let spilling = [&ADDRESSES[..], &[0x04, 0, 9, 1]].concat();
    let truncated = [&ADDRESSES[..], &[0x04, 0]].concat();
    let malformed: [(Vec<u8>, &str); 16] = [
        (b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(), "two addresses"),
        (
            b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
            "two addresses",
        ),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n".to_vec(),
            "two addresses",
        ),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n".to_vec(),
            "two addresses",
        ),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n".to_vec(),
            "two addresses",
        ),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n".to_vec(),
            "two addresses",
        ),
        (
            b"PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n".to_vec(),
            "two addresses",
        ),
        (b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(), "family"),
        ([b"PROXY UNKNOWN ".to_vec(), vec![b'a'; 200]].concat(), "107"),
        (v2(0x21, 0x11, &ADDRESSES[..11]), "too short"),
        (v2(0x21, 0x12, &ADDRESSES), "family"),
        (v2(0x21, 0x31, &[0; 216]), "family"),
        (v2(0x22, 0x11, &ADDRESSES), "command"),
        (v2(0x11, 0x11, &ADDRESSES), "version"),
        (v2(0x21, 0x11, &spilling), "TLV"),
        (v2(0x21, 0x11, &truncated), "TLV"),
    ];
    for (header, word) in malformed {
        for size in [1, 4096] {
            let error = read_in_pieces(&header, size).await.unwrap_err();
            assert!(
                matches!(error, PreambleError::Malformed(_)),
                "{header:?}: {error}"
            );
            assert!(error.to_string().contains(word), "{header:?}: {error}");
        }
    }
    for absent in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"PROXI",
        b"\r\n\r\nGET /",
        b"\x16\x03\x01\x02",
    ] {
        for size in [1, 4096] {
            let error = read_in_pieces(absent, size).await.unwrap_err();
            assert!(matches!(error, PreambleError::Absent), "{absent:?}: {error}");
        }
    }
    let long = read_in_pieces(&v2(0x21, 0x11, &[0; 4097]), 4096)
        .await
        .unwrap_err();
    assert!(long.to_string().contains("4096"), "{long}");
}

#[tokio::test]
async fn a_header_that_breaks_off_is_no_header() {
    for header in [
        &b"PROXY TCP4 192.0.2.1"[..],
        b"PROXY",
        &v2(0x21, 0x11, &ADDRESSES)[..20],
    ] {
        let error = read(&mut &*header).await.unwrap_err();
        assert!(matches!(error, PreambleError::Read(_)), "{header:?}: {error}");
    }
}
