//! A fleet in equal parts: each security group is in exactly one.

use sha2::{Digest, Sha256};

use crate::name::NetworkName;

/// One part of several, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// Reads `INDEX/COUNT`, 0 at first: `0/4` to `3/4`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (index, count) = text.split_once('/')?;
        let shard = Self { index: index.parse().ok()?, count: count.parse().ok()? };
        (shard.index < shard.count).then_some(shard)
    }

    /// Whether a security group, by its name or id, is in this part. The same in every release: parts of a fleet may be run by
    /// different ones.
    pub fn has(self, network: &NetworkName, security_group: &str) -> bool {
        let digest = Sha256::digest(format!("{network}/{security_group}").as_bytes());
        let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        number % u64::from(self.count) == u64::from(self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_is_in_exactly_one_part_and_parts_are_about_equal() {
        let network = NetworkName::new("eu").unwrap();
        for count in [1_u32, 2, 7] {
            let parts: Vec<Shard> = (0..count).map(|i| Shard::parse(&format!("{i}/{count}")).unwrap()).collect();
            let mut sizes = vec![0_u32; parts.len()];
            for group in (0..2000).map(|i| format!("cluster-{i}-etcd")) {
                let of: Vec<usize> = (0..parts.len()).filter(|i| parts[*i].has(&network, &group)).collect();
                assert_eq!(of.len(), 1, "{group}");
                sizes[of[0]] += 1;
            }
            assert!(sizes.iter().all(|size| size * count > 1600 && size * count < 2400), "{sizes:?}");
        }
    }

    #[test]
    fn a_group_stays_in_its_part() {
        // `printf eu/prod-etcd | sha256sum` begins with 8 bytes that are 4 modulo 5.
        let network = NetworkName::new("eu").unwrap();
        let of = (0..5).find(|i| Shard::parse(&format!("{i}/5")).unwrap().has(&network, "prod-etcd"));
        assert_eq!(of, Some(4));
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for text in ["", "1", "4/4", "-1/4", "0/0", "1/x", "1/2/3", "1 / 2"] {
            assert_eq!(Shard::parse(text), None, "{text}");
        }
    }
}
