"""Words beside a number that say it is a phone number, or something else, in some forty languages."""

from __future__ import annotations


def _words(lines: str) -> frozenset[str]:
    return frozenset(lines.split())


PHONE_WORDS = _words(
    """
    tel tels tél tél telp tlf tlph tfn tfno tf ph phone phones cell cellphone cellular fax telefax faks faxnummer
    mobile mob mobil handy handynummer mobilnummer mobiltelefon hotline helpline landline whatsapp viber sms call
    calling dial ring pager contact reach callback voicemail tollfree smartphone rufnummer ruf rufen durchwahl anrufen
    festnetz mobilfunk portable appelez appeler joindre móvil movil móviles celular llame llamar llámenos fono telf
    cellulare chiama chiamare chiamate telemóvel telemovel fone ligue ligar contacto contato gsm bel bellen mobiel
    puhelin puh soita matkapuhelin komórka zadzwoń komórkowy volejte volajte mobilní cep sunați ponsel hubungi sđt
    đt thoại gọi тел моб факс звоните позвоните сот мобильный телефакс дзвоніть τηλ κιν κινητό φαξ טלפון
    נייד טל פקס هاتف الهاتف جوال موبايل تلفون فاكس تلفن موبایل همراه
    """
)
PHONE_STEMS = ("telef", "teleph", "telep", "télép", "teléf", "телеф", "τηλέφ", "τηλεφ", "handynum", "mobilnum")
# Of scripts that set no spaces, or write vowels as marks, which are no letters to an expression.
PHONE_ENDINGS = (
    *_words("電話 电话 来电 热线 熱線 電話番号 电话号码 電話號碼 携帯 手机 手機 传真 傳真"),
    *_words("連絡先 联系方式 ファックス ファクス 전화 전화번호 휴대폰 핸드폰 연락처 팩스"),
    *_words("โทร โทรศัพท์ มือถือ फोन फ़ोन मोबाइल दूरभाष ফোন মোবাইল"),
)
LABELS = _words("t p m f c ф hp")  # on business cards, with a colon

# Words between the one that counts and the number.
FILLERS = _words(
    """
    number numbers no nr num numéro numero número nummer numara numarası číslo номер n nº is are at on to us me him
    her them my our your his the office home work day evening mobile direct main local free toll line only or and und
    oder ou o y e au le la el al a ao para unter der die das an mich uns ist est es è é il lo du de kom privat private
    service s w h
    """
)
JOINS = _words("or and und oder ou o y e och en")  # between two numbers
NUMBERS = _words("number numbers no nr num numéro numero número nummer номер n nº")
OWNERS = _words("my our your his her their unter au")
OTHER_WORDS = _words(
    """
    isbn issn ismn ean gtin upc asin doi pmid pmc pmcid arxiv hdl oclc lccn iban bic swift konto kontonummer account
    acct card visa mastercard ssn ein vat ust steuernummer tax invoice rechnung facture receipt order bestellung ref
    reference ticket bug issue case patent serial version build release revision rev commit zip plz postcode code id
    ids uid uuid sku model part lot batch port rfc cas crossref pages pp vol volume figure table item article art
    coordinates lat lon latitude longitude timestamp unix epoch total sum price population copyright passport
    """
)
