//! The words of the story: the guide's Ella, Haugesund's example of absence, and people who do not exist.

pub const CHILD: &str = "Ella Fjellstad";
pub const BORN: &str = "2015-03-12";
pub const LEADER: &str = "Lise Brattbakk";
pub const TEACHER: &str = "Tone Aasheim";
pub const MOTHER: &str = "Ingrid Fjellstad";
pub const FATHER: &str = "Magnus Fjellstad";
pub const PPT_LEADER: &str = "Petter Granlund";
pub const PPT: &str = "Randi Myrvold";
pub const PHONE: &str = "Ingrids telefon";

pub const HOMEWORK: &str = "Ella arbeider med lekser";
pub const GOAL: &str = "Ella arbeider med lekser man-torsdag fra kl.17-18 og ber foresatte om hjelp til å løse oppgavene \
                        dersom hun står fast.";
pub const AT_SCHOOL: &str = "Ella gjennomgår ukeplanen sammen med lærer hver mandag i første økt.";
pub const AT_HOME: &str = "Foresatte sitter sammen med Ella når hun gjør lekser.";
pub const BY_ELLA: &str = "Ella ber foresatte om hjelp når hun står fast med oppgaver.";
pub const AT_SCHOOL_NEW: &str = "Ella gjennomgår ukeplanen sammen med lærer hver mandag og torsdag.";

pub const ABSENCE: &str = "Komme på skolen hver dag";
pub const ABSENCE_GOAL: &str = "Ella er på skolen hver dag hele denne måneden.";
pub const LATER: &str = "komme 15 minutter etter ringetid";
pub const DOOR: &str = "sitte nærmest døra";
pub const BEDTIME: &str = "Leggetider – bruk av data";

pub const BY_TEACHER: &str = "I dag fant Ella fram bøkene helt av seg selv.";
pub const BY_MOTHER: &str = "Ella satte seg ved kjøkkenbordet klokka fem, uten at noen sa det.";
pub const BY_FATHER: &str = "Vi ble enige om å legge bort dataen klokka åtte.";
pub const BY_PPT: &str = "Dette har PPT ikke lov til å skrive.";
pub const AFTERWARDS: &str = "Ella ba om hjelp to ganger denne uka.";
pub const EVALUATION: &str = "Dette har virket godt.";

/// What must never lie readable outside the homes.
pub const SECRETS: &[&str] = &[
    CHILD,
    BORN,
    LEADER,
    TEACHER,
    MOTHER,
    FATHER,
    PPT_LEADER,
    PPT,
    PHONE,
    HOMEWORK,
    GOAL,
    AT_SCHOOL,
    AT_HOME,
    BY_ELLA,
    AT_SCHOOL_NEW,
    ABSENCE,
    ABSENCE_GOAL,
    LATER,
    DOOR,
    BEDTIME,
    BY_TEACHER,
    BY_MOTHER,
    BY_FATHER,
    BY_PPT,
    AFTERWARDS,
    EVALUATION,
    "Fjellstad",
];
