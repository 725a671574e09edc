//! A code as a picture in the terminal, for a telephone or another machine's camera.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Lines to print, or nothing where the code is too long for a QR.
pub fn picture(code: &str) -> Option<String> {
    // Capital letters take less room in a picture, and mean the same in a code.
    let image = QrCode::with_error_correction_level(code.to_uppercase().as_bytes(), EcLevel::L).ok()?;
    // Terminals are mostly dark: light modules are drawn, dark ones left out.
    Some(image.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn draws_what_fits() {
        let drawn = picture(&"a1".repeat(150)).unwrap();
        assert!(drawn.lines().count() > 20 && drawn.contains('█'));
        assert!(picture(&"x".repeat(5000)).is_none());
    }
}
