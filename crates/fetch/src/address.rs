//! Which addresses are public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    let [s0, s1, s2, s3, s4, s5, s6, s7] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(s0, s1, s2, s3, s4, s5, s6, s7), prefix)
}

/// The IANA IPv4 Special-Purpose Address Registry (RFC 6890), multicast, and the one public-looking
/// address that is a cloud's internal service. Blocks that the registry marks as globally reachable are in:
/// they are sinks and relays, nobody serves documents from them.
const SPECIAL_V4: [Ipv4Net; 19] = [
    v4(0, 0, 0, 0, 8),        // this network, RFC 791
    v4(10, 0, 0, 0, 8),       // private use, RFC 1918
    v4(100, 64, 0, 0, 10),    // shared address space, RFC 6598
    v4(127, 0, 0, 0, 8),      // loopback, RFC 1122
    v4(168, 63, 129, 16, 32), // Azure's host services
    v4(169, 254, 0, 0, 16),   // link local, RFC 3927 (cloud metadata services)
    v4(172, 16, 0, 0, 12),    // private use, RFC 1918
    v4(192, 0, 0, 0, 24),     // IETF protocol assignments, RFC 6890
    v4(192, 0, 2, 0, 24),     // documentation, RFC 5737
    v4(192, 31, 196, 0, 24),  // AS112-v4, RFC 7535
    v4(192, 52, 193, 0, 24),  // AMT, RFC 7450
    v4(192, 88, 99, 0, 24),   // 6to4 relay anycast, RFC 7526
    v4(192, 168, 0, 0, 16),   // private use, RFC 1918
    v4(192, 175, 48, 0, 24),  // direct delegation AS112, RFC 7534
    v4(198, 18, 0, 0, 15),    // benchmarking, RFC 2544
    v4(198, 51, 100, 0, 24),  // documentation, RFC 5737
    v4(203, 0, 113, 0, 24),   // documentation, RFC 5737
    v4(224, 0, 0, 0, 4),      // multicast, RFC 5771
    v4(240, 0, 0, 0, 4),      // reserved and limited broadcast, RFC 1112, RFC 8190
];

/// Global unicast, RFC 4291 §2.4: what is outside (`::1`, `fc00::/7`, `fe80::/10`, `ff00::/8`, `100::/64`,
/// `5f00::/16`, the IPv4-compatible `::/96`, the local NAT64 prefix `64:ff9b:1::/48`, …) is not public.
const GLOBAL_UNICAST_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// The IANA IPv6 Special-Purpose Address Registry inside global unicast.
const SPECIAL_V6: [Ipv6Net; 5] = [
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // IETF protocol assignments with Teredo, ORCHID, benchmarking
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation, RFC 3849
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4, RFC 3056: deprecated (RFC 7526), can carry any IPv4 address
    v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), // direct delegation AS112, RFC 7534
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation, RFC 9637
];

/// The well-known NAT64 prefix, RFC 6052: the last 32 bits are the address that is really reached.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

/// IPv4-mapped addresses, RFC 4291 §2.5.5.2.
const V4_MAPPED: Ipv6Net = v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96);

/// Whether an address belongs to the public internet: in none of the blocks of the IANA special-purpose
/// registries (RFC 6890), not multicast, not reserved. IPv4 addresses inside IPv6 ones (mapped, NAT64) are
/// unwrapped and judged themselves; tunnels that can carry any IPv4 address (6to4, Teredo, IPv4-compatible)
/// are refused altogether.
pub fn is_public_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) if V4_MAPPED.contains(&address) || NAT64.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        IpAddr::V6(address) => {
            GLOBAL_UNICAST_V6.contains(&address) && !SPECIAL_V6.iter().any(|block| block.contains(&address))
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4.iter().any(|block| block.contains(&address))
}

/// Loopback, also when it is written as an IPv4-mapped address.
pub(crate) fn is_loopback_address(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
