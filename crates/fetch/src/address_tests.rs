use proptest::prelude::*;

use super::*;

fn public(text: &str) -> bool {
    is_public_address(text.parse().unwrap_or_else(|_| panic!("{text} is no address")))
}

/// First and last address of every block of <https://www.iana.org/assignments/iana-ipv4-special-registry>,
/// multicast and the reserved space.
#[test]
fn every_special_ipv4_block_is_refused_from_its_first_to_its_last_address() {
    for (first, last) in [
        ("0.0.0.0", "0.255.255.255"),
        ("10.0.0.0", "10.255.255.255"),
        ("100.64.0.0", "100.127.255.255"),
        ("127.0.0.0", "127.255.255.255"),
        ("168.63.129.16", "168.63.129.16"),
        ("169.254.0.0", "169.254.255.255"),
        ("172.16.0.0", "172.31.255.255"),
        ("192.0.0.0", "192.0.0.255"),
        ("192.0.0.8", "192.0.0.11"),
        ("192.0.0.170", "192.0.0.171"),
        ("192.0.2.0", "192.0.2.255"),
        ("192.31.196.0", "192.31.196.255"),
        ("192.52.193.0", "192.52.193.255"),
        ("192.88.99.0", "192.88.99.255"),
        ("192.168.0.0", "192.168.255.255"),
        ("192.175.48.0", "192.175.48.255"),
        ("198.18.0.0", "198.19.255.255"),
        ("198.51.100.0", "198.51.100.255"),
        ("203.0.113.0", "203.0.113.255"),
        ("224.0.0.0", "239.255.255.255"),
        ("240.0.0.0", "255.255.255.254"),
        ("255.255.255.255", "255.255.255.255"),
    ] {
        assert!(!public(first), "{first}");
        assert!(!public(last), "{last}");
        for inside_v6 in ["::ffff:", "64:ff9b::", "::"] {
            assert!(!public(&format!("{inside_v6}{first}")), "{inside_v6}{first}");
            assert!(!public(&format!("{inside_v6}{last}")), "{inside_v6}{last}");
        }
    }
}

#[test]
fn the_neighbours_of_special_ipv4_blocks_are_public() {
    for address in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "1.1.1.1",
        "93.184.216.34",
    ] {
        assert!(public(address), "{address}");
        assert!(public(&format!("::ffff:{address}")), "mapped {address}");
        assert!(public(&format!("64:ff9b::{address}")), "NAT64 {address}");
    }
}

/// First and last address of every block of <https://www.iana.org/assignments/iana-ipv6-special-registry>,
/// and of what else is not global unicast.
#[test]
fn every_special_ipv6_block_is_refused_from_its_first_to_its_last_address() {
    for (first, last) in [
        ("::", "::"),
        ("::1", "::1"),
        ("::2", "::ffff:ffff"),
        ("::7f00:1", "::127.0.0.1"),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
        ("100::", "100::ffff:ffff:ffff:ffff"),
        ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"),
        ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001::1", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:1::1", "2001:1::3"),
        ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"),
        ("2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff"),
        ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:30::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2002:7f00:1::", "2002:a00:1::"),
        ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fd00:ec2::254", "fd12::1"),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ] {
        assert!(!public(first), "{first}");
        assert!(!public(last), "{last}");
    }
}

#[test]
fn global_unicast_ipv6_is_public() {
    for address in [
        "2000::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2001:db7:ffff::1",
        "2001:db9::1",
        "2003::1",
        "2606:4700::1111",
        "2a00:1450::1",
        "3ffe:ffff::1",
        "3fff:1000::1",
    ] {
        assert!(public(address), "{address}");
    }
}

proptest! {
    #[test]
    fn wrapping_an_ipv4_address_never_makes_it_public(bits: u32) {
        let plain = Ipv4Addr::from_bits(bits);
        let verdict = is_public_address(IpAddr::V4(plain));
        prop_assert_eq!(is_public_address(IpAddr::V6(plain.to_ipv6_mapped())), verdict);
        let nat64 = Ipv6Addr::from_bits(NAT64.addr().to_bits() | u128::from(bits));
        prop_assert_eq!(is_public_address(IpAddr::V6(nat64)), verdict);
        prop_assert!(!is_public_address(IpAddr::V6(Ipv6Addr::from_bits(u128::from(bits)))));
    }
}
