//! The answer to a packet that goes nowhere: "administratively prohibited". Pure. An agent wrote
//! the packet.

/// `ICMP_DEST_UNREACH` and `ICMP_PKT_FILTERED` (RFC 792, RFC 1812, 5.2.7.1).
const V4: [u8; 2] = [3, 13];
/// Destination unreachable, administratively prohibited (RFC 4443, 3.1).
const V6: [u8; 2] = [1, 1];
/// How much of the packet goes back: as much as keeps the answer within what every host takes (576
/// bytes, RFC 1812, 4.3.2.3; 1280 bytes, RFC 4443, 2.4).
const QUOTED_V4: usize = 576 - 28;
const QUOTED_V6: usize = 1280 - 48;

/// The ICMP packet that tells the sender, as if it came from the destination. Nothing where none
/// may be sent (RFC 1122, 3.2.2; RFC 4443, 2.4): to multicast, to errors, to later fragments.
pub fn answer(packet: &[u8]) -> Option<Vec<u8>> {
    match packet.first()? >> 4 {
        4 => v4(packet),
        6 => v6(packet),
        _ => None,
    }
}

fn v4(packet: &[u8]) -> Option<Vec<u8>> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let (source, destination) = (&header[12..16], &header[16..20]);
    let length = usize::from(header[0] & 0x0f) * 4;
    let later_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0;
    // Echo requests are answered, errors and replies are not.
    let icmp_but_echo = header[9] == 1 && packet.get(length) != Some(&8);
    if length < 20 || later_fragment || icmp_but_echo || destination[0] >= 224 || source == [0; 4] {
        return None;
    }
    let quoted = &packet[..packet.len().min(QUOTED_V4)];
    let mut answer = vec![0; 28];
    answer[0] = 0x45;
    answer[2..4].copy_from_slice(&(28 + quoted.len() as u16).to_be_bytes());
    (answer[8], answer[9]) = (64, 1);
    answer[12..16].copy_from_slice(destination);
    answer[16..20].copy_from_slice(source);
    let sum = checksum(&[&answer[..20]]);
    answer[10..12].copy_from_slice(&sum);
    answer[20..22].copy_from_slice(&V4);
    let sum = checksum(&[&answer[20..], quoted]);
    answer[22..24].copy_from_slice(&sum);
    answer.extend_from_slice(quoted);
    Some(answer)
}

fn v6(packet: &[u8]) -> Option<Vec<u8>> {
    let header: &[u8; 40] = packet.first_chunk()?;
    let (source, destination) = (&header[8..24], &header[24..40]);
    let icmp_but_echo = header[6] == 58 && packet.get(40) != Some(&128);
    if icmp_but_echo || destination[0] == 0xff || source == [0; 16] {
        return None;
    }
    let quoted = &packet[..packet.len().min(QUOTED_V6)];
    let mut answer = vec![0; 48];
    answer[0] = 0x60;
    let length = 8 + quoted.len() as u16;
    answer[4..6].copy_from_slice(&length.to_be_bytes());
    (answer[6], answer[7]) = (58, 64);
    answer[8..24].copy_from_slice(destination);
    answer[24..40].copy_from_slice(source);
    answer[40..42].copy_from_slice(&V6);
    // The pseudo-header, RFC 8200, 8.1.
    let sum = checksum(&[&answer[8..40], &u32::from(length).to_be_bytes(), &[0, 0, 0, 58], &answer[40..], quoted]);
    answer[42..44].copy_from_slice(&sum);
    answer.extend_from_slice(quoted);
    Some(answer)
}

/// RFC 1071. Every part but the last has an even length.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 = words.map(|word| u32::from(u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v4_packet(protocol: u8, to: [u8; 4]) -> Vec<u8> {
        let mut packet = vec![0; 28];
        packet[0] = 0x45;
        packet[9] = protocol;
        packet[12..16].copy_from_slice(&[192, 0, 2, 1]);
        packet[16..20].copy_from_slice(&to);
        packet
    }

    #[test]
    fn the_sums_are_right_and_the_packet_comes_back() {
        let packet = v4_packet(6, [10, 0, 0, 5]);
        let answered = answer(&packet).unwrap();
        assert_eq!(checksum(&[&answered[..20]]), [0, 0]);
        assert_eq!(checksum(&[&answered[20..]]), [0, 0]);
        assert_eq!((&answered[12..20], &answered[20..22]), (&[10, 0, 0, 5, 192, 0, 2, 1][..], &[3, 13][..]));
        assert_eq!(&answered[28..], packet);
        let mut packet = vec![0x60; 41];
        packet[6] = 17;
        let answered = answer(&packet).unwrap();
        let pseudo = [&answered[8..40], &[0, 0, 0, 49, 0, 0, 0, 58], &answered[40..]].concat();
        assert_eq!(checksum(&[&pseudo]), [0, 0]);
        assert_eq!(&answered[48..], packet);
    }

    #[test]
    fn errors_multicast_and_fragments_are_not_answered() {
        assert!(answer(&v4_packet(17, [224, 0, 0, 251])).is_none());
        assert!(answer(&v4_packet(1, [10, 0, 0, 5])).is_none(), "type 0, a reply");
        let mut echo = v4_packet(1, [10, 0, 0, 5]);
        echo[20] = 8;
        assert!(answer(&echo).is_some());
        let mut fragment = v4_packet(17, [10, 0, 0, 5]);
        fragment[7] = 1;
        assert!(answer(&fragment).is_none());
        let mut neighbour = vec![0x60; 41];
        (neighbour[6], neighbour[40]) = (58, 135);
        assert!(answer(&neighbour).is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_surprise(mut packet in proptest::collection::vec(any::<u8>(), 0..2000), six in any::<bool>()) {
            if let Some(first) = packet.first_mut() {
                *first = if six { 0x60 } else { *first | 0x40 };
            }
            if let Some(answered) = answer(&packet) {
                prop_assert!(answered.len() <= 1280);
            }
        }
    }
}
