//! The address that a request comes from, through proxies that are trusted to tell it.
//!
//! It is used in memory, for [`crate::rate`]'s limits, and goes nowhere else: no log, no record, no metric. Whoever is
//! not in the list of proxies speaks for himself only, whatever headers he sends.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

/// Header of which each proxy appends one address.
const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// The same with more words: <https://www.rfc-editor.org/rfc/rfc7239>.
const FORWARDED: &str = "forwarded";
/// Addresses that are looked at in a header at most, from the right: no request goes through more proxies.
const HOPS_MAX: usize = 16;

/// Who may say for whom he speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxies {
    networks: Vec<IpNet>,
    header: Header,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    None,
    XForwardedFor,
    Forwarded,
}

/// Where clients share a limit: /24 of IPv4, /48 of IPv6, which are what one household or attacker gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(u64);

impl Proxies {
    /// Reads a list of networks or addresses that is separated by commas, and the name of the one header that these
    /// proxies write; empty: none. A second header would be the client's to forge.
    ///
    /// # Errors
    /// What is wrong with which of the two: `trusted_proxies` or `forwarded_header`.
    pub fn parse(networks: &str, header: &str) -> Result<Self, (&'static str, String)> {
        let header = match header {
            "" => Header::None,
            X_FORWARDED_FOR => Header::XForwardedFor,
            FORWARDED => Header::Forwarded,
            _ => {
                let detail = format!("want `{X_FORWARDED_FOR}`, `{FORWARDED}` or nothing");
                return Err(("forwarded_header", detail));
            }
        };
        let networks = networks.split(',').map(str::trim).filter(|network| !network.is_empty());
        let networks = networks.map(|text| {
            let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| ("trusted_proxies", format!("`{text}`: want an address or network/bits")))
        });
        Ok(Self { networks: networks.collect::<Result<_, _>>()?, header })
    }

    /// Whether this is a proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client's address: the first one, from this server outwards, that is no trusted proxy. Where what a proxy
    /// tells cannot be read, or all of them are trusted, it is the last proxy's own; none where no proxy tells anything.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return Some(peer);
        }
        let name = match self.header {
            Header::None => return None,
            Header::XForwardedFor => X_FORWARDED_FOR,
            Header::Forwarded => FORWARDED,
        };
        // A proxy may append to the last of several lines, or write a line of its own. What the client wrote into the
        // same line is bytes of any kind.
        let hops = headers.get_all(name).rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let mut last = None;
        for hop in hops.take(HOPS_MAX) {
            let hop = std::str::from_utf8(hop).ok();
            let address = match self.header {
                Header::Forwarded => hop.and_then(forwarded_for).and_then(address_of),
                Header::XForwardedFor | Header::None => hop.and_then(address_of),
            };
            match address {
                Some(proxy) if self.trusts(proxy) => last = Some(proxy),
                Some(client) => return Some(client),
                None => return last.or(Some(peer)),
            }
        }
        last
    }
}

impl Network {
    /// The network of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(1 << 63 | u64::from(address.to_bits() >> 8)),
            IpAddr::V6(address) => Self((address.to_bits() >> 80) as u64),
        }
    }

    /// One of `slots`, which nobody can foretell who does not know the hasher.
    pub fn slot(self, hasher: &RandomState, slots: u32) -> u32 {
        (hasher.hash_one(self) % u64::from(slots)) as u32
    }
}

/// The parameter `for` of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value)
    })
}

/// An address with or without port, brackets and quotes.
fn address_of(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let address = match text.strip_prefix('[') {
        Some(rest) => IpAddr::V6(rest.split_once(']')?.0.parse::<Ipv6Addr>().ok()?),
        None => match text.parse() {
            Ok(address) => address,
            Err(_) => text.rsplit_once(':')?.0.parse().ok()?,
        },
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests;
