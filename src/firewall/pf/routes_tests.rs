use super::*;

/// `sockaddr_in` and `sockaddr_in6`, cut to a length.
fn v4(octets: [u8; 4], length: usize) -> Vec<u8> {
    let mut bytes = [&[16, INET, 0, 0][..], &octets, &[0; 8]].concat();
    bytes.truncate(length);
    bytes[0] = length as u8;
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

fn v6(octets: [u8; 16], length: usize) -> Vec<u8> {
    let mut bytes = [&[28, INET6, 0, 0, 0, 0, 0, 0][..], &octets, &[0; 4]].concat();
    bytes.truncate(length);
    bytes[0] = length as u8;
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

/// The default route's mask.
const EMPTY: [u8; 4] = [0; 4];
/// A `sockaddr_dl` of 20 bytes.
const LINK: [u8; 20] = [20, 18, 4, 0, 6, 3, 0, 0, b'e', b'n', b'0', 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn message(flags: u32, present: u32, addresses: &[&[u8]]) -> Vec<u8> {
    let body = addresses.concat();
    let mut bytes = vec![0; HEADER];
    bytes[..2].copy_from_slice(&((HEADER + body.len()) as u16).to_ne_bytes());
    bytes[INDEX..INDEX + 2].copy_from_slice(&7_u16.to_ne_bytes());
    bytes[FLAGS..FLAGS + 4].copy_from_slice(&flags.to_ne_bytes());
    bytes[ADDRESSES..ADDRESSES + 4].copy_from_slice(&present.to_ne_bytes());
    [bytes, body].concat()
}

fn shown(dump: &[u8]) -> Vec<String> {
    parse(dump).iter().map(|it| format!("{} {} {}", it.destination, it.interface, it.gateway)).collect()
}

const ALL: u32 = 0x7;

#[test]
fn destinations_masks_and_gateways_are_read() {
    let dump = [
        message(UP | GATEWAY, ALL, &[&v4([0; 4], 16), &v4([192, 168, 1, 1], 16), &EMPTY]),
        message(UP, ALL, &[&v4([10, 9, 0, 0], 16), &LINK, &v4([255, 255, 0, 0], 6)]),
        message(UP | GATEWAY | HOST, 0x3, &[&v4([1, 2, 3, 4], 16), &v4([10, 0, 0, 1], 16)]),
        message(UP, ALL, &[&v6(*b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\0", 28), &LINK, &v6([0xff; 16], 16)]),
        message(UP, ALL, &[&v6(*b"\xfe\x80\0\x04\0\0\0\0\0\0\0\0\0\0\0\0", 28), &LINK, &v6([0xff; 16], 16)]),
    ]
    .concat();
    let expected =
        ["0.0.0.0/0 7 true", "10.9.0.0/16 7 false", "1.2.3.4/32 7 true", "2001:db8::/64 7 false", "fe80::/64 7 false"];
    assert_eq!(shown(&dump), expected);
}

#[test]
fn neighbours_and_routes_of_bound_sockets_are_left_out() {
    for flag in [LINK_LAYER, WAS_CLONED, SCOPED] {
        assert!(shown(&message(UP | HOST | flag, 0x3, &[&v4([10, 0, 0, 7], 16), &LINK])).is_empty());
    }
    assert!(shown(&message(HOST, 0x3, &[&v4([10, 0, 0, 7], 16), &LINK])).is_empty());
}

#[test]
fn a_dump_that_lies_about_its_lengths_is_no_panic() {
    let good = message(UP, ALL, &[&v4([10, 9, 0, 0], 16), &LINK, &v4([255, 255, 0, 0], 6)]);
    for end in 0..good.len() {
        assert!(parse(&good[..end]).is_empty());
    }
    for at in 0..good.len() {
        for value in [0, 1, 3, 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[at] = value;
            parse(&bad);
        }
    }
    let holes = message(UP, ALL, &[&v4([10, 0, 0, 0], 16), &LINK, &v4([255, 0, 255, 0], 8)]);
    assert!(parse(&holes).is_empty());
}
