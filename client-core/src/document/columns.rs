//! Automerge's column encoding, walked without expanding it: runs are counted, never believed.

use super::reason::Reason;

/// The first bytes of every chunk.
pub(super) const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
/// Largest operation counter that is anywhere near real: keeps sums far from overflow.
pub(super) const COUNTER_MAX: i64 = 1 << 48;

/// Bytes still to be read.
pub(super) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Reason> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Reason::NotAChange)?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn byte(&mut self) -> Result<u8, Reason> {
        let (byte, rest) = self.0.split_first().ok_or(Reason::NotAChange)?;
        self.0 = rest;
        Ok(*byte)
    }

    pub fn unsigned(&mut self) -> Result<u64, Reason> {
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Reason::NotAChange)
    }

    pub fn signed(&mut self) -> Result<i64, Reason> {
        let mut value = 0i64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            value |= i64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let unused = 64 - (shift + 7);
                return Ok(if byte & 0x40 == 0 { value } else { (value << unused) >> unused });
            }
        }
        Err(Reason::NotAChange)
    }

    pub fn length(&mut self) -> Result<usize, Reason> {
        usize::try_from(self.unsigned()?).map_err(|_| Reason::NotAChange)
    }

    /// A time may be any 64-bit number: ten bytes of it are skipped, not read.
    pub fn skip_number(&mut self) -> Result<(), Reason> {
        for _ in 0..10 {
            if self.byte()? & 0x80 == 0 {
                return Ok(());
            }
        }
        Err(Reason::NotAChange)
    }
}

/// One run of a column: how many rows, and how many values follow for them.
fn run(cursor: &mut Cursor<'_>, rows: &mut usize, most: usize) -> Result<usize, Reason> {
    let head = cursor.signed()?;
    let (count, values) = match head {
        0 => (cursor.unsigned()?, 0),
        1.. => (head.unsigned_abs(), 1),
        _ => (head.unsigned_abs(), head.unsigned_abs()),
    };
    *rows = usize::try_from(count).ok().and_then(|count| rows.checked_add(count)).ok_or(Reason::Operations)?;
    if *rows > most {
        return Err(Reason::Operations);
    }
    usize::try_from(values).map_err(|_| Reason::Operations)
}

/// A column of unsigned numbers; answers how many rows it has.
pub(super) fn runs(
    mut cursor: Cursor<'_>,
    most: usize,
    allow: impl Fn(u64) -> Result<(), Reason>,
) -> Result<usize, Reason> {
    let mut rows = 0;
    while !cursor.0.is_empty() {
        for _ in 0..run(&mut cursor, &mut rows, most)? {
            allow(cursor.unsigned()?)?;
        }
    }
    Ok(rows)
}

/// A column of strings of at most so many bytes.
pub(super) fn strings(mut cursor: Cursor<'_>, most: usize, bytes: usize) -> Result<(), Reason> {
    let mut rows = 0;
    while !cursor.0.is_empty() {
        for _ in 0..run(&mut cursor, &mut rows, most)? {
            let length = cursor.length()?;
            if length > bytes {
                return Err(Reason::KeySize);
            }
            core::str::from_utf8(cursor.take(length)?).map_err(|_| Reason::NotAChange)?;
        }
    }
    Ok(())
}

/// Differences, each row adding to the sum of those before; the sum stays between `least` and the largest counter.
pub(super) fn deltas(mut cursor: Cursor<'_>, most: usize, least: i64) -> Result<(), Reason> {
    let (mut rows, mut sum) = (0, 0i64);
    while !cursor.0.is_empty() {
        let before = rows;
        let values = run(&mut cursor, &mut rows, most)?;
        let times = if values == 1 { rows - before } else { 1 };
        for _ in 0..values {
            let step = cursor.signed()?.checked_mul(times as i64).ok_or(Reason::NotAChange)?;
            sum = sum.checked_add(step).filter(|sum| (least..COUNTER_MAX).contains(sum)).ok_or(Reason::NotAChange)?;
        }
    }
    Ok(())
}

/// A column of booleans alternates between counts of false and of true.
pub(super) fn all_false(mut cursor: Cursor<'_>, most: usize) -> Result<(), Reason> {
    let count = if cursor.0.is_empty() { 0 } else { cursor.unsigned()? };
    match (count > most as u64, cursor.0.is_empty()) {
        (true, _) => Err(Reason::Operations),
        (false, true) => Ok(()),
        (false, false) => Err(Reason::Operation),
    }
}

/// A column of booleans of any kind; answers how many rows it has.
pub(super) fn booleans(mut cursor: Cursor<'_>, most: usize) -> Result<usize, Reason> {
    let mut rows = 0usize;
    while !cursor.0.is_empty() {
        rows = rows.checked_add(cursor.length()?).filter(|rows| *rows <= most).ok_or(Reason::Operations)?;
    }
    Ok(rows)
}
