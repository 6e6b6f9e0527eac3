//! The shape of an RSA public key, checked before the key is used.

use crate::JoseError;

const MIN_MODULUS_BITS: usize = 2048;
/// Above this, one verification takes long enough to be an attack.
const MAX_MODULUS_BITS: usize = 8192;
/// The exponent fits 32 bits; a larger one only makes verification slow.
const MAX_EXPONENT_BYTES: usize = 4;

/// Checks a modulus and an exponent, both big-endian.
///
/// # Errors
/// [`JoseError::UnusableKey`] for leading zero octets (RFC 7518 §2: a `Base64urlUInt` is minimal, and two spellings would
/// be two thumbprints), [`JoseError::WeakKey`] for values that no sound generator makes.
pub(crate) fn check_components(modulus: &[u8], exponent: &[u8]) -> Result<(), JoseError> {
    let (Some(&modulus_top), Some(&exponent_top)) = (modulus.first(), exponent.first()) else {
        return Err(JoseError::UnusableKey);
    };
    if modulus_top == 0 || exponent_top == 0 {
        return Err(JoseError::UnusableKey);
    }
    let bits = modulus.len() * 8 - modulus_top.leading_zeros() as usize;
    let modulus_is_odd = modulus.last().is_some_and(|byte| byte & 1 == 1);
    let exponent_is_odd = exponent.last().is_some_and(|byte| byte & 1 == 1);
    let exponent_is_sane = exponent_is_odd && exponent != [1] && exponent.len() <= MAX_EXPONENT_BYTES;
    if !(MIN_MODULUS_BITS..=MAX_MODULUS_BITS).contains(&bits)
        || !modulus_is_odd
        || !exponent_is_sane
        || has_roca_fingerprint(modulus)
    {
        return Err(JoseError::WeakKey);
    }
    Ok(())
}

/// Whether the modulus looks like one from the generator of CVE-2017-15361.
///
/// That generator's primes are powers of 65537 modulo a product of small primes, so the modulus is one too, modulo each
/// of them. A sound modulus passes all of these with a probability below 2^-27.
fn has_roca_fingerprint(modulus: &[u8]) -> bool {
    const SMALL_PRIMES: [u32; 17] = [
        11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
    ];
    SMALL_PRIMES
        .into_iter()
        .all(|prime| is_power_of_65537(remainder(modulus, prime), prime))
}

fn remainder(number: &[u8], divisor: u32) -> u32 {
    number
        .iter()
        .fold(0, |rest, &byte| ((rest << 8) | u32::from(byte)) % divisor)
}

fn is_power_of_65537(residue: u32, prime: u32) -> bool {
    let generator = 65537 % prime;
    let mut power = 1;
    loop {
        if power == residue {
            return true;
        }
        power = power * generator % prime;
        if power == 1 {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2048 bits, odd, and not of the weak generator.
    fn modulus() -> Vec<u8> {
        let mut modulus = vec![0xff; 256];
        while has_roca_fingerprint(&modulus) {
            modulus[100] -= 1;
        }
        modulus
    }

    #[test]
    fn a_leading_zero_octet_is_refused_in_both_components() {
        let (modulus, exponent) = (modulus(), [1, 0, 1]);
        assert_eq!(check_components(&modulus, &exponent), Ok(()));
        let padded = [&[0], &modulus[..]].concat();
        assert_eq!(check_components(&padded, &exponent), Err(JoseError::UnusableKey));
        assert_eq!(
            check_components(&modulus, &[0, 1, 0, 1]),
            Err(JoseError::UnusableKey)
        );
        assert_eq!(check_components(&[], &exponent), Err(JoseError::UnusableKey));
        assert_eq!(check_components(&modulus, &[]), Err(JoseError::UnusableKey));
    }

    #[test]
    fn an_exponent_has_at_most_32_bits() {
        let modulus = modulus();
        assert_eq!(check_components(&modulus, &[0xff; 4]), Ok(()));
        assert_eq!(
            check_components(&modulus, &[1, 0, 0, 0, 1]),
            Err(JoseError::WeakKey)
        );
    }
}
