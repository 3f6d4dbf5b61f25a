"""The kinds of personal data that can be looked for: whose recognisers find them, in documents of which languages.

Names are Presidio's. A kind with languages is looked for in documents of one of these; a document without a language
counts as English. What Presidio ships and is not here: dates, URLs and UUIDs, which name nobody, and South African
phone numbers by line type (`scrub.phone_regions` has the region).

`weak`: so many numbers have the form, or pass a check of one digit, that the form says nothing. `search.py` takes such
a finding only beside a whole word that says what it is.

Light on purpose: recipes import it, and nothing here needs Presidio or spaCy.
"""

from __future__ import annotations

from typing import NamedTuple

from .finding import Kind

ENGLISH = "en"  # the language of documents that name none


class Entry(NamedTuple):
    """One kind. `recognizers`: names of Presidio's classes; none where only our own recognisers, or names, find it."""

    recognizers: tuple[str, ...]
    languages: tuple[str, ...] = ()
    default: bool = False
    weak: bool = False


_EVERYWHERE: dict[Kind, Entry] = {
    "EMAIL_ADDRESS": Entry(("EmailRecognizer",), default=True),
    "PHONE_NUMBER": Entry(("PhoneRecognizer",), default=True),
    "CREDIT_CARD": Entry(("CreditCardRecognizer",), default=True),
    "IP_ADDRESS": Entry(("IpRecognizer",), default=True),
    "IBAN_CODE": Entry(("IbanRecognizer",), default=True),
    "MAC_ADDRESS": Entry(("MacAddressRecognizer",), default=True),
    "CRYPTO": Entry(("CryptoRecognizer",), default=True),
    "US_SSN": Entry(("UsSsnRecognizer",), default=True),
    "US_ITIN": Entry(("UsItinRecognizer",), default=True),
    "URL_CREDENTIALS": Entry((), default=True),
    "SECRET": Entry((), default=True),
}

_IN_A_LANGUAGE: dict[Kind, Entry] = {
    "US_PASSPORT": Entry(("UsPassportRecognizer",), ("en",), default=True, weak=True),
    "US_DRIVER_LICENSE": Entry(("UsLicenseRecognizer",), ("en",), default=True, weak=True),
    "US_BANK_NUMBER": Entry(("UsBankRecognizer",), ("en",), default=True, weak=True),
    "MEDICAL_LICENSE": Entry(("MedicalLicenseRecognizer",), ("en",), default=True, weak=True),
    "US_MBI": Entry(("UsMbiRecognizer",), ("en",)),
    "US_NPI": Entry(("UsNpiRecognizer",), ("en",), weak=True),
    "ABA_ROUTING_NUMBER": Entry(("AbaRoutingRecognizer",), ("en",), weak=True),
    "US_HEALTH_INSURANCE_MEMBER_ID": Entry(("UsHealthInsuranceMemberIdRecognizer",), ("en",), weak=True),
    "US_PRIOR_AUTHORIZATION_NUMBER": Entry(("UsPriorAuthorizationNumberRecognizer",), ("en",)),
    "US_CLAIM_NUMBER": Entry(("UsClaimNumberRecognizer",), ("en",)),
    "US_PRESCRIPTION_NUMBER": Entry(("UsPrescriptionNumberRecognizer",), ("en",)),
    "US_REFERRAL_NUMBER": Entry(("UsReferralNumberRecognizer",), ("en",)),
    "US_PROVIDER_TAX_ID": Entry(("UsProviderTaxIdRecognizer",), ("en",)),
    "UK_NHS": Entry(("NhsRecognizer",), ("en",), default=True, weak=True),
    "UK_NINO": Entry(("UkNinoRecognizer",), ("en",)),
    "UK_PASSPORT": Entry(("UkPassportRecognizer",), ("en",), weak=True),
    "UK_DRIVING_LICENCE": Entry(("UkDrivingLicenceRecognizer",), ("en",)),
    "UK_POSTCODE": Entry(("UkPostcodeRecognizer",), ("en",), weak=True),
    "UK_VEHICLE_REGISTRATION": Entry(("UkVehicleRegistrationRecognizer",), ("en",), weak=True),
    "AU_ABN": Entry(("AuAbnRecognizer",), ("en",), weak=True),
    "AU_ACN": Entry(("AuAcnRecognizer",), ("en",), weak=True),
    "AU_TFN": Entry(("AuTfnRecognizer",), ("en",), weak=True),
    "AU_MEDICARE": Entry(("AuMedicareRecognizer",), ("en",), weak=True),
    "CA_SIN": Entry(("CaSinRecognizer",), ("en", "fr"), weak=True),
    "CA_POSTAL_CODE": Entry(("CaPostalCodeRecognizer",), ("en", "fr"), weak=True),
    "IN_AADHAAR": Entry(("InAadhaarRecognizer",), ("en",), weak=True),
    "IN_PAN": Entry(("InPanRecognizer",), ("en",), weak=True),
    "IN_GSTIN": Entry(("InGstinRecognizer",), ("en",), weak=True),
    "IN_PASSPORT": Entry(("InPassportRecognizer",), ("en",), weak=True),
    "IN_VOTER": Entry(("InVoterRecognizer",), ("en",), weak=True),
    "IN_VEHICLE_REGISTRATION": Entry(("InVehicleRegistrationRecognizer",), ("en",), weak=True),
    "NG_NIN": Entry(("NgNinRecognizer",), ("en",), weak=True),
    "NG_VEHICLE_REGISTRATION": Entry(("NgVehicleRegistrationRecognizer",), ("en",)),
    "PH_PASSPORT": Entry(("PhPassportRecognizer",), ("en",), weak=True),
    "PH_TIN": Entry(("PhTinRecognizer",), ("en",), weak=True),
    "PH_UMID": Entry(("PhUmidRecognizer",), ("en",)),
    "SG_NRIC_FIN": Entry(("SgFinRecognizer",), ("en",)),
    "SG_UEN": Entry(("SgUenRecognizer",), ("en",)),
    "ZA_ID_NUMBER": Entry(("ZaIdNumberRecognizer",), ("en",)),
    "ZA_PASSPORT": Entry(("ZaPassportRecognizer",), ("en",), weak=True),
    "ZA_DRIVER_LICENSE": Entry(("ZaDriverLicenseRecognizer",), ("en",), weak=True),
    "ZA_LICENSE_PLATE": Entry(("ZaLicensePlateRecognizer",), ("en",), weak=True),
    "ZA_TRAFFIC_REGISTER_NUMBER": Entry(("ZaTrafficRegisterNumberRecognizer",), ("en",), weak=True),
    "ZA_INCOME_TAX_NUMBER": Entry(("ZaIncomeTaxNumberRecognizer",), ("en",), weak=True),
    "ZA_VAT_NUMBER": Entry(("ZaVatNumberRecognizer",), ("en",), weak=True),
    "ZA_COMPANY_REGISTRATION": Entry(("ZaCompanyRegistrationRecognizer",), ("en",)),
    "DE_TAX_ID": Entry(("DeTaxIdRecognizer",), ("de",), default=True),
    "DE_SOCIAL_SECURITY": Entry(("DeSocialSecurityRecognizer",), ("de",), default=True),
    "DE_ID_CARD": Entry(("DeIdCardRecognizer",), ("de",), default=True, weak=True),
    "DE_PASSPORT": Entry(("DePassportRecognizer",), ("de",), default=True, weak=True),
    "DE_FUEHRERSCHEIN": Entry(("DeFuehrerscheinRecognizer",), ("de",), default=True, weak=True),
    "DE_HEALTH_INSURANCE": Entry(("DeHealthInsuranceRecognizer",), ("de",), default=True),
    "DE_TAX_NUMBER": Entry(("DeTaxNumberRecognizer",), ("de",), weak=True),
    "DE_VAT_ID": Entry(("DeVatIdRecognizer",), ("de",)),
    "DE_KFZ": Entry(("DeKfzRecognizer",), ("de",), weak=True),
    "DE_PLZ": Entry(("DePlzRecognizer",), ("de",), weak=True),
    "DE_LANR": Entry(("DeLanrRecognizer",), ("de",), weak=True),
    "DE_BSNR": Entry(("DeBsnrRecognizer",), ("de",), weak=True),
    "DE_HANDELSREGISTER": Entry(("DeHandelsregisterRecognizer",), ("de",)),
    "ES_NIF": Entry(("EsNifRecognizer",), ("es",), default=True),
    "ES_NIE": Entry(("EsNieRecognizer",), ("es",), default=True),
    "ES_PASSPORT": Entry(("EsPassportRecognizer",), ("es",), weak=True),
    "FI_PERSONAL_IDENTITY_CODE": Entry(("FiPersonalIdentityCodeRecognizer",), ("fi",), default=True),
    "IT_FISCAL_CODE": Entry(("ItFiscalCodeRecognizer",), ("it",), default=True),
    "IT_DRIVER_LICENSE": Entry(("ItDriverLicenseRecognizer",), ("it",), default=True, weak=True),
    "IT_IDENTITY_CARD": Entry(("ItIdentityCardRecognizer",), ("it",), default=True, weak=True),
    "IT_PASSPORT": Entry(("ItPassportRecognizer",), ("it",), default=True, weak=True),
    "IT_VAT_CODE": Entry(("ItVatCodeRecognizer",), ("it",), default=True, weak=True),
    "KR_RRN": Entry(("KrRrnRecognizer",), ("ko",), default=True),
    "KR_FRN": Entry(("KrFrnRecognizer",), ("ko",), default=True),
    "KR_PASSPORT": Entry(("KrPassportRecognizer",), ("ko",), default=True, weak=True),
    "KR_DRIVER_LICENSE": Entry(("KrDriverLicenseRecognizer",), ("ko",), default=True, weak=True),
    "KR_BRN": Entry(("KrBrnRecognizer",), ("ko",), weak=True),
    "PL_PESEL": Entry(("PlPeselRecognizer",), ("pl",), default=True),
    "SE_PERSONNUMMER": Entry(("SePersonnummerRecognizer",), ("sv",), default=True),
    "SE_ORGANISATIONSNUMMER": Entry(("SeOrganisationsnummerRecognizer",), ("sv",), weak=True),
    "TH_TNIN": Entry(("ThTninRecognizer",), ("th",), default=True),
    "TR_NATIONAL_ID": Entry(("TrNationalIdRecognizer",), ("tr",), default=True),
    "TR_LICENSE_PLATE": Entry(("TrLicensePlateRecognizer",), ("tr",), weak=True),
}

NAME_KINDS: tuple[Kind, ...] = ("PERSON", "LOCATION", "ORGANIZATION", "NRP")
"""What a model of names finds (`names.py`); NRP: nationality, religion, politics."""

CATALOGUE: dict[Kind, Entry] = {**_EVERYWHERE, **_IN_A_LANGUAGE, **{kind: Entry(()) for kind in NAME_KINDS}}
KINDS: tuple[Kind, ...] = tuple(CATALOGUE)
DEFAULT_KINDS: tuple[Kind, ...] = tuple(kind for kind, entry in CATALOGUE.items() if entry.default)


def language_of(code: str | None) -> str:
    """The language as the catalogue has it: `de` of `de`, `DE-at` and `de_Latn`; English where there is none."""
    return code.replace("_", "-").partition("-")[0].lower() if code else ENGLISH


def searched(kind: Kind, language: str) -> bool:
    """Whether a kind is looked for in documents of a language; what the catalogue does not know always is."""
    entry = CATALOGUE.get(kind)
    return entry is None or not entry.languages or language in entry.languages
