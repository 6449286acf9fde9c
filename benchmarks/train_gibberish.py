"""
Train the character model of the suspicion layer: `python benchmarks/train_gibberish.py`.

It writes `mailvet/data/gibberish.csv`: for every pair of characters how telling each next character is, and the line
that parts language from chance. Nothing of the material is shipped, only the counts over all of it.

The material, all of it free to use: the names and word lists of Faker (MIT) and mimesis (MIT), Chinese names read
aloud by pypinyin (MIT), the language reference that comes with Python (PSF), and the lists below, written by the
authors. Names in other scripts are spelt in Latin letters by the tables below. Needed beside the `bench` extra:
`pip install Faker mimesis pypinyin`.

Every name goes, by a hash of its spelling, to one of three parts: 70 % teach the model, 10 % set the line, 20 % are
held out for `benchmarks/suspicion.py`. A local part is put together from names of one part alone.
"""

# ruff: noqa: RUF001, SIM905 - other alphabets, and lists of words as text

from __future__ import annotations

import datetime
import hashlib
import importlib
import json
import math
import random
import re
import string
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata, resources
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from mailvet.signals.columns import log_odds
from mailvet.signals.gibberish import CharacterModel

__all__ = [
    "LANGUAGES",
    "PARTS",
    "SCREEN_NAMES",
    "Words",
    "common_words",
    "counts",
    "local_parts",
    "material",
    "people",
    "weights",
]

SCREEN_NAMES = "words"
"""Where a language is named: local parts made of words instead of names."""
OUTPUT = Path(__file__).resolve().parents[1] / "mailvet" / "data" / "gibberish.csv"
PARTS = ("teach", "line", "held out")


@dataclass(frozen=True, slots=True)
class Words:
    """The names of one language in lower-case ASCII letters; `given` and `family` are never empty."""

    given: tuple[str, ...]
    family: tuple[str, ...]


# --- Spelling in Latin letters -----------------------------------------------------------------------------------

_CYRILLIC = dict(
    zip(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґљњђћџјѓќѕөүұқғңһәў",
        "a b v g d e e zh z i y k l m n o p r s t u f kh ts ch sh shch - y - e yu ya i yi ye g lj nj dj c dz j g k dz"
        " o u u k g n h a u".replace("-", "_").split(),
        strict=True,
    )
)
_GREEK = dict(
    zip("αβγδεζηθικλμνξοπρσςτυφχψω", "a v g d e z i th i k l m n x o p r s s t y f ch ps o".split(), strict=True)
)
_GEORGIAN = dict(
    zip(
        "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ",
        "a b g d e v z t i k l m n o p zh r s t u p k gh q sh ch ts dz ts ch kh j h".split(),
        strict=True,
    )
)
_ARMENIAN = dict(
    zip(
        "աբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆև",
        "a b g d e z e y t zh i l kh ts k h dz gh ch m y n sh o ch p j r s v t r ts v p k o f ev".split(),
        strict=True,
    )
)
_LETTERS = str.maketrans(
    {
        **_CYRILLIC,
        **_GREEK,
        **_GEORGIAN,
        **_ARMENIAN,
        "ß": "ss",
        "ø": "o",
        "æ": "ae",
        "œ": "oe",
        "å": "a",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "ı": "i",
        "ə": "a",
        "ŋ": "n",
        "ɛ": "e",
        "ɔ": "o",
        "ħ": "h",
    }
)
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa"})


def _latin(name: str) -> str:
    """A name as it is typed into an address: accents dropped, other alphabets letter by letter."""
    name = name.lower()
    # Two letters that Greek writes for one sound.
    for pair, sound in (("ου", "ou"), ("ού", "ou"), ("μπ", "mp"), ("ευ", "ev"), ("αυ", "av"), ("γγ", "ng")):
        name = name.replace(pair, sound)
    name = name.translate(_LETTERS)
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    return bare.translate(_LETTERS).replace("_", "")


_INITIALS = "g kk n d tt r m b pp s ss - j jj ch k t p h".replace("-", "_").split()
_VOWELS = "a ae ya yae eo e yeo ye o wa wae oe yo u wo we wi yu eu ui i".split()
_FINALS = "_ k k k n n n t l k m p l l p l m p p t t ng t t k t p t".split()


def _hangul(name: str) -> str:
    """Revised Romanisation, syllable by syllable."""
    spelt = []
    for letter in name:
        if not "가" <= letter <= "힣":
            return ""
        lead, rest = divmod(ord(letter) - ord("가"), 588)
        spelt.append(_INITIALS[lead] + _VOWELS[rest // 28] + _FINALS[rest % 28])
    return "".join(spelt).replace("_", "")


_KANA = {
    kana: sound
    for row, sounds in {
        "アイウエオ": "a i u e o",
        "カキクケコ": "ka ki ku ke ko",
        "サシスセソ": "sa shi su se so",
        "タチツテト": "ta chi tsu te to",
        "ナニヌネノ": "na ni nu ne no",
        "ハヒフヘホ": "ha hi fu he ho",
        "マミムメモ": "ma mi mu me mo",
        "ヤユヨ": "ya yu yo",
        "ラリルレロ": "ra ri ru re ro",
        "ワヲン": "wa o n",
        "ガギグゲゴ": "ga gi gu ge go",
        "ザジズゼゾ": "za ji zu ze zo",
        "ダヂヅデド": "da ji zu de do",
        "バビブベボ": "ba bi bu be bo",
        "パピプペポ": "pa pi pu pe po",
    }.items()
    for kana, sound in zip(row, sounds.split(), strict=True)
}


def _kana(name: str) -> str:
    """Hepburn's spelling of plain kana; empty for what holds other characters."""
    katakana = "".join(chr(ord(letter) + 96) if "ぁ" <= letter <= "ゖ" else letter for letter in name)
    if not all(letter in _KANA for letter in katakana):
        return ""
    return "".join(_KANA[letter] for letter in katakana)


# The Brahmic scripts lie in Unicode in one order, 128 places each: one table of consonants, vowels and vowel signs.
_CONSONANTS = dict(
    zip(
        range(0x15, 0x3A),
        "k kh g gh n ch chh j jh n t th d dh n t th d dh n n p ph b bh m y r r l l l v sh sh s h".split(),
        strict=True,
    )
)
_INDEPENDENT = dict(zip(range(0x05, 0x15), "a a i i u u ri l e e e ai o o o au".split(), strict=True))
_SIGNS = dict(zip(range(0x3E, 0x4D), "a i i u u ri ri e e e ai o o o au".split(), strict=True))


def _brahmic(name: str, *, start: int) -> str:
    """Devanagari and its sisters, the unwritten last vowel dropped; `start` is the first place of the script."""
    spelt = ""
    for place, following in zip(name, [*name[1:], ""], strict=True):
        code, after = ord(place) - start, (ord(following) - start if following else None)
        if code in _CONSONANTS:
            spoken = after is not None and after not in _SIGNS and after not in (0x4D, 0x3C)
            spelt += _CONSONANTS[code] + ("a" if spoken else "")
        elif code in _INDEPENDENT or code in _SIGNS:
            spelt += _INDEPENDENT.get(code) or _SIGNS[code]
        elif code in (0x01, 0x02):
            spelt += "n"
        elif code not in (0x03, 0x3C, 0x4D):
            return ""
    return spelt


def _pinyin(name: str) -> str:
    from pypinyin import lazy_pinyin

    return "".join(lazy_pinyin(name)).replace("ü", "v")


# --- Lists of our own: names as their bearers spell them in Latin letters ------------------------------------------

_OWN = {
    "vi": (
        """an anh bao bach bich binh cam canh chau chi chien chinh cuong cuc dai dan dang dao diem diep dieu dinh do
        doan dong duc dung duong duyen gia giang giao ha hai hang hanh hao hau hien hieu hoa hoai hoan hoang
        hong hop hue hung huong huy huyen khai khang khanh khoa khoi khue kien kieu kim ky lam lan lanh le
        lien lieu linh loan loc loi long luan luc luong ly mai manh minh my nam nga ngan nghia ngoc nguyen
        nguyet nhan nhat nhi nhien nhu nhung nien ninh oanh phat phi phong phu phuc phung phuoc phuong quan
        quang que quoc quy quyen quyet quynh sang sinh son suong tai tam tan thach thai thanh thang thao the
        thi thien thinh thoa thong thu thuan thuc thuong thuy tien tin tinh toan trang tram tri trieu trinh
        trong truc trung truong tu tuan tue tung tuoi tuong tuyen tuyet uyen van vi vien viet vinh vu vuong
        vy xuan yen y""",
        """nguyen tran le pham hoang huynh phan vu vo dang bui do ho ngo duong ly truong dinh doan lam trinh mai dao
        cao thai ta chau to ton phung quach tang luong luu thach trieu kieu nghiem khuc vuong tieu la kim
        mac ha giap khong tong nghia quan""",
    ),
    "ja": (
        """aiko akane akemi aki akihiko akihiro akiko akinori akira akito asami asuka atsuko atsushi ayaka ayako ayame
        ayumi chiaki chie chihiro chika chikako chinatsu chiyo daichi daiki daisuke eiichi eiji eiko emi
        emiko etsuko fumiaki fumihiro fumiko fumio genki goro hajime hana hanako haruka haruki haruko haruna
        haruto hayato hideaki hideki hidenori hideo hideto hideyuki hikari hikaru hina hinata hiroaki
        hirofumi hiroki hiroko hiromi hironobu hiroshi hiroto hiroyuki hisako hisao hisashi hitomi hitoshi
        hokuto honoka ichiro ikuko isamu itsuki iwao izumi jiro jun junichi junko kaede kaito kanako kana
        kaori kaoru katsuhiko katsumi katsuya kazuaki kazuhiko kazuhiro kazuki kazuko kazumi kazunori kazuo
        kazuya kazuyoshi kazuyuki keigo keiichi keiji keiko keisuke keita kenichi kenji kenjiro kensuke
        kenta kentaro kiyoko kiyomi kiyoshi kohei koichi koji kojiro kosuke kota kotaro kouhei kumiko
        kunihiko kyohei kyoko kyosuke madoka maiko maki makiko makoto mami mamoru manabu manami mariko
        masaaki masafumi masahide masahiko masahiro masaki masako masanori masao masaru masashi masato
        masaya masayoshi masayuki mayu mayuko mayumi megumi michiko michio midori mieko miho mika miki
        mikiko minako minami minoru misaki mitsuhiro mitsuko mitsuru miyako miyuki mizuki momoka momoko
        motoki mutsumi nana nanako nao naoki naoko naomi naoto naoya natsuki natsuko natsumi nobuhiro nobuko
        nobuo nobuyuki noriaki norihiro noriko norio osamu reiko ren rie rieko rika riko rina rinko risa
        ritsuko rumi rumiko ryo ryohei ryoichi ryoji ryoko ryosuke ryota ryotaro ryuichi ryuji ryunosuke
        ryuta sachiko saki sakiko sakura satoko satomi satoru satoshi saori sayaka sayuri seiichi seiji
        setsuko shigeki shigeo shigeru shiho shin shingo shinichi shinji shinjiro shinobu shintaro shinya
        shiori shizuka shizuko sho shogo shohei shoichi shoji shota shotaro shuhei shuichi shuji shun
        shunsuke shunya soichiro sota sotaro sumiko susumu suzuko tadashi taichi taiki takaaki takafumi
        takahiro takako takamasa takanori takao takashi takayuki takeo takeshi takuma takumi takuro takuya
        tamotsu tatsuhiko tatsuo tatsuya teruo tetsuo tetsuro tetsuya tomohiro tomoki tomoko tomomi tomonori
        tomoya tomoyuki toru toshiaki toshihiko toshihiro toshiki toshiko toshio toshiyuki tsubasa tsuneo
        tsutomu tsuyoshi wakana wataru yasuaki yasuhiro yasuko yasuo yasushi yasuyuki yoichi yoko yosuke
        yota yoshiaki yoshie yoshihiko yoshihiro yoshiki yoshiko yoshimi yoshinori yoshio yoshiro yoshito
        yoshiyuki yudai yui yuichi yuichiro yuji yuka yukari yuki yukie yukihiro yukiko yukio yuko yuma yumi
        yumiko yuri yuriko yusuke yuta yutaka yuto yuya yuzuki""",
        """abe adachi akiyama ando aoki aoyama arai araki arakawa asano azuma baba chiba doi egawa endo enomoto fujii
        fujikawa fujimoto fujimura fujisawa fujita fujiwara fukuda fukui fukumoto fukushima funaki furukawa
        furuta goto hamada hamaguchi hara harada haruyama hasegawa hashimoto hattori hayakawa hayashi hidaka
        higuchi hirano hirata hirayama hirose hisamatsu hoga homma honda hori horie horiguchi horiuchi
        hosokawa ichikawa igarashi iida iijima ikeda ikegami imai imamura inagaki inoue ishibashi ishida
        ishiguro ishihara ishii ishikawa ishimoto ishizaki isobe ito iwai iwamoto iwasaki iwata izumi kaneda
        kaneko kataoka kato katayama kawabata kawaguchi kawahara kawai kawakami kawamoto kawamura kawano
        kawasaki kawashima kawata kikuchi kimura kinoshita kishi kishimoto kitagawa kitamura kobayashi koga
        koike koizumi kojima komatsu komori kondo konishi konno kosaka koyama kubo kubota kudo kumagai
        kuroda kurokawa kurosawa kuwabara maeda maekawa maruyama masuda matsubara matsuda matsui matsumoto
        matsumura matsunaga matsuo matsuoka matsushita matsuura minami miura miyagawa miyahara miyake
        miyamoto miyata miyazaki miyoshi mizuno mizutani mochizuki mori morikawa morimoto morita moriyama
        murai murakami muramatsu murata nagai nagao nagasawa nagata nagashima naito nakagawa nakahara nakai
        nakajima nakamoto nakamura nakanishi nakano nakao nakashima nakata nakayama nakazawa narita nishida
        nishikawa nishimoto nishimura nishiyama nishizawa noda noguchi nomura ochiai oda ogata ogawa oguchi
        ohara ohashi ohno oikawa oishi okabe okada okamoto okamura okano okawa okazaki okubo okuda okumura
        omori onishi ono ooshima osawa oshima ota otake otani otsuka ouchi ozaki ozawa saeki saito sakaguchi
        sakai sakakibara sakamoto sakata sakuma sakurai sano sasaki sasaoka sato sawada sawamura seki
        sekiguchi shibata shibuya shimada shimazaki shimizu shimoda shinohara shiraishi shirakawa soma
        sonoda suda suga sugawara sugimoto sugita sugiyama sugiura sumida suzuki tachibana tada taguchi
        taira takada takagi takahashi takahata takai takamura takano takashima takayama takeda takemoto
        takemura takenaka takeuchi taki tamaki tamura tanabe tanaka taniguchi tanimoto terada
        terashima tokuda tokunaga tominaga tomita toyama toyoda tsuchida tsuchiya tsuda tsuji tsukamoto
        tsukada tsuruta uchida uchiyama ueda uehara uemura ueno umeda umemoto urata usui wada wakabayashi
        wakamatsu watabe watanabe yagi yamada yamagishi yamaguchi yamakawa yamamoto yamamura yamanaka yamane
        yamanouchi yamasaki yamashita yamauchi yamazaki yano yasuda yasui yokota yokoyama yoneda yoshida
        yoshikawa yoshimoto yoshimura yoshino yoshioka yoshizawa yuasa""",
    ),
    "ar": (
        """abdallah abdelaziz abdelhamid abdelkader abdelkarim abdelrahman abdo abdulaziz abdulhadi abdullah abdulmajid
        abdulrahman abeer abla adel adham adnan ahlam ahmad ahmed aisha akram alaa ali alia alya amal amani
        amer amina amir amira ammar amjad amr anas anis anwar areej arwa asala ashraf asma asmaa assem atef
        awatef ayah ayman aziza azza badr bahaa bakr baraa basel bashar bashir basma bassam bassem batoul
        bilal boutros bushra buthaina dalal dalia dana dima dina diyaa doaa dunya ebtisam eissa elham emad
        eman esraa essam fadi fadia fahad fahd faisal faiza faris farah fares farid farida farouk fathi
        fatima fatma fawzi fayrouz feras firas fouad ghada ghadeer ghassan ghazi habib hadeel hadi hafez
        haifa haitham hala hamad hamdan hamid hamza hana hanadi hanan hani haroun hasan hashem hassan hatem
        haya hazem heba hicham hind hisham hoda hosni houda hussam hussein ibrahim ibtihal ihab ikram imad
        iman imane inas intisar ismail issam iyad jaafar jaber jad jalal jamal jamil jamila jana jawad jihad
        joud jumana kamal kareem karim karima khadija khaled khalid khalifa khalil kholoud khuloud laila
        lama lamia latifa layan layla leila lina lubna luay maan madiha maha mahdi maher mahmoud majd majed
        majid malak malek mamdouh manal mansour maram mariam marwa marwan maryam maysa may mazen miral
        moataz mohamed mohammad mohammed moayad moncef moneim mona mostafa mouna mounir mourad moussa
        muhannad mukhtar munir mushtaq mustafa muna nabil nabila nada nadeem nader nadia nadine nael nagham
        naglaa nahed nahla naima najat najeeb najla najwa naser nashwa nasser nawal nawaf nayef nazik
        nesrine nizar noha nora noor nouf nour noura nuha omar omaima omran osama othman qasim qusay rabab
        rabih rafik ragheb raghda rahaf rahma raja rajaa ramadan rami ramy ramzi rana rania rashid rasha
        rawan rayan razan reda reem rehab riad riham rim rola ruba ruqaya saad saadia sabah sabri sadiq safa
        safwan said saif sajida salah salam saleh salem salim salma salman salwa samah samar sameer samer
        sami samia samir samira sana sanaa sara sarah sarra sawsan sayed shadi shahd shaima shaimaa sharif
        shatha shawqi shereen sherif shorouk siham sohair suad suha suhail suhaila sulaiman sultan suzan
        taha tahani tala talal talat tamer tareq tarek tariq taysir thamer thuraya tuqa turki umm usama wael
        wafa wahib wajdi walaa waleed walid warda wasim wassim wesam widad wissam yahya yaqoub yara yaser
        yasin yasmin yasmine yassin yazan yazid yousef youssef yusuf zahra zaid zainab zakaria zaki zaynab
        zeina zeinab ziad zina zuhair""",
        """abadi abbas abboud abdelmalek abdeljalil abdelsalam abdulla abi-nader abu-bakr abu-khalil abuhamdan
        abulhasan abunada abusalem adwan agha aljaber alahmad alali alamri alanazi alasmari albalawi albanna
        aldosari alfaraj algarni alghamdi alhajri alhakim alhammadi alharbi alhashimi alhassan alhusseini
        alibrahim aljuhani alkaabi alkhalidi alkhatib almalki almansoori almarri almasri almazrouei
        almutairi alnaimi alnajjar alomari alotaibi alqahtani alqasimi alrashid alsaadi alsabah alsayed
        alshammari alshehri alsubaie alsuwaidi althani altamimi alyami alzahrani ashour atallah attia awad
        awadallah ayoub azzam badawi baghdadi bakri barakat bashir bazzi benabdallah benali benjelloun
        bennani berrada bishara boukhari bouazza boulos boutaleb chahine chaker chraibi cherif daher dakhil
        darwish elbaz elfassi elghazali elhaddad elkady elmasry elnaggar elsayed elshafei elsharkawy eltayeb
        elwakil fakhoury farhat farouq fayyad gaber gamal gharbi ghanem habibi haddad hajjar hakimi halabi
        hamdi hamdan hammoud hariri hashem hassani hijazi hilali houssaini idrissi issa jaziri jebali jubran
        kabbaj kaddour kanaan karam kassem khalaf khalifeh khoury lahoud louati maalouf madani mahfouz makki
        maktoum malouf mansouri masri matar mikati moussaoui mubarak mughrabi nahas najjar nasrallah nassar
        nimr obeid odeh omari othmani qaddumi qasem qureshi rahal rahmani rantisi rashidi rizk saab sabbagh
        saeed safadi said salama salameh samara sarkis sayegh shaaban shaheen shami sharabi shawa shehadeh
        shukri slimani soliman suleiman taleb tawfiq tazi touma trabelsi turki yacoubi yassine younes
        zahrani zaidan zakhour ziyad zoghbi zubaidi""",
    ),
    "th": (
        """achara adisak amnat ampai anan anchali anong anuchit anurak apichai apinya aroon arthit atchara benjawan
        boonmee boonsri busaba chaiwat chalerm chanida chanin channarong charoen chatchai chayanon chokchai
        chompoo chutima duangjai ekachai ekkarat jaruwan jirapat jiraporn jittra kamol kanchana kanokwan
        kanya kasem kittipong kittisak komkrit krit kritsada kulap lalita lamai malai manop mongkol nantawan
        narong naruemon natthapong nattaporn nattaya nattawut nipa niran nittaya nongnuch noppadon ornanong
        pailin pakorn panida panupong parichat patcharin pattama pattarapong phichit phongsak pichai
        pimchanok piyawat ploy pongsakorn pornthip prachya pramote pranee prapat prasert prasit preecha
        premchai puttipong rattana ratchanee rungnapa saithong sakchai samart sangdao sasithorn sawat
        siriporn sirikit sitthichai somboon somchai somjai somkiat somporn somsak sopha sunisa sudarat
        suchart sukanya sumalee sunan supachai supaporn suphawan surachai surasak suriya sutthipong suwannee
        tanawat tawan thanakorn thanaporn thaksin thawatchai thidarat thitipong udom ubonrat uthai vanida
        varunee vichai viroj waraporn wattana wichai wilai wipada wirat witthaya yongyut yupin""",
        """boonyarat bunnag chaiyasit chantarangkul charoenkul charoensuk chatchawan chotikul inthawong jaidee
        jitpakdee kaewkla kanjanarat kitiyakara kongkaew kraisorn limthongkul maneerat meechai muangthong
        ngamsiri nakornchai ongsakul panyarachun phanomyong phetcharat phromsiri pibulsongkram pongpanich
        pongsiri prasertsuk rattanakosin ruangrit saelim saetang saengthong sangsuwan siriwat somboonsap
        songkhram srisai srisuk sukhumvit suksawat suwannarat tangjai thammasat thepsuthin thongchai
        thongdee thongsuk vejjajiva vongsuwan wattanakul wongsawat wongsakul wongwian yodsuwan yimsiri""",
    ),
    "he": (
        """aharon alon amir amit amnon anat ariel arik asaf avi aviad avigail avihu avital aviv avner avraham ayala
        ayelet barak batya benny boaz chaim chaya chen dafna dalit dan daniel david dina doron dov dror
        dvora efrat ehud eitan eldad elad eliezer elinor elisheva eliyahu erez esther eyal ezra gadi gal
        galit gavriel gershon gideon gil gila gilad guy hadar hadas hagai hanna hezi hila idan idit idit
        ilan ilana inbal irit itai itamar itzhak keren lavi leah lior liora liron maayan malka maya meir
        menachem merav michael michal miriam mordechai moshe naama nadav naftali natan netanel nili nimrod
        nir nissim noa noam nurit ofer ofir ohad omri oren orit orly orna osnat pinchas rachel rafi ran
        reuven rina rivka roi ron ronen ronit rotem ruth sarit shahar shai shalom sharon shimon shira
        shirley shlomi shlomo shmuel shoshana sigal sivan tal tali tamar tomer tsvi tzipi uri uriel uzi
        vered yaakov yael yaffa yair yaniv yarden yaron yehuda yehudit yigal yishai yitzhak yoav yochai yoel
        yohanan yonatan yoram yosef yossi yotam yuval zeev zehava ziv zohar""",
        """abramov agmon almog aloni amsalem avidan avraham azoulay barkan barzilai benami benari bendavid benhaim
        biton bracha chazan cohen dahan dayan eckstein edri elbaz eliyahu elkayam epstein ezra feldman
        fishman friedman gabay galili ganor gerstein golan goldberg goldstein greenberg gross gutman haddad
        halevi harari hazan hershkovitz kahana kaplan karmi katz kedem khoury kirshenbaum klein kleinman
        koren lavi levi levin levy liberman malka mizrahi mor moshe moyal nachmani nahum ohana oren ovadia
        oz peled peretz rabinowitz regev rosen rosenberg rosenfeld rubinstein sabag sasson segal shaked
        shalev shapira sharabi sharon shemesh shimoni shitrit shoham sofer solomon stern suissa tal tzur
        vaknin weinstein weiss yadin yefet yosef zadok zamir zilberman zohar zuckerman""",
    ),
    "fil": (
        """agapito althea amihan amparo analyn angelica annabelle antonette arnel aurora baltazar bayani benigno
        bernadette bong carmelita cherrylyn christian conchita corazon crisanto crispin danilo darwin
        dionisio dolores edgardo edwin efren eleuterio emelita emmanuel ernesto estrella evangeline fe
        ferdinand florencio gerardo gilbert glenda gregorio grace herminia honorato imelda isagani jasmine
        jejomar jericho jhoanna jhun jomar jonalyn joselito jovelyn juanito kathryn lailani leandro leonora
        lilibeth ligaya lourdes luzviminda malaya manolito maricel marilou maribel marites marvin melchor
        mylene nenita nestor nicanor norberto norma perlita precious princess ramil raymundo remedios renato
        reynaldo rhea rizalino rodrigo rogelio romulo rosalinda rosario rowena roxanne ruel rufino salvador
        shaira sheryl teodoro teresita trinidad vicente virgilio wilfredo zenaida""",
        """abad abalos abaya abellana agbayani aguinaldo alcantara alonzo andrada aquino bagatsing balagtas balingit
        baluyot bautista bayani beltran bonifacio buenaventura bulatao cabrera calimlim canlas capistrano
        caringal castillo catacutan cayabyab concepcion cruz cunanan dagohoy dalisay dantes delacruz
        delosreyes delosantos dimaculangan dimagiba dimayuga dumlao dungca enriquez estrada evangelista
        feliciano fernando galang gatchalian gatdula guinto guevarra hizon ignacio ilagan jacinto kalaw
        katigbak lacson laurel legaspi liwanag lualhati luna macapagal macaraeg magbanua magsaysay
        magtanggol makalintal malabanan malonzo mangubat manalo manansala mangahas marasigan marcos mercado
        montemayor navarro ocampo pacquiao pagaduan palma panganiban pangilinan panlilio pascual punongbayan
        quiambao quirino ramos recto reyes rizal roxas salonga sandoval santiago santos sison sumulong tagle
        tiongson tolentino umali valenzuela villanueva yatco yulo zamora""",
    ),
}
_ONLINE = """angel baby bear big black blue boy butterfly candy cat chick chocolate club coco cool cookie crazy cute
        dark devil dj doctor dog dragon dream eagle fan fast fire flower fly football forever fox freak free fun
        funny gamer ghost girl go gold golf good great green guitar guy happy hawk heart hello hero home
        honey hot house hunter ice iron jack joker jungle junior king kitty knight lady legend life light
        lion little lord love lover lucky lucy mad magic man master max metal mike mini miss mister money
        monkey moon mountain mr mrs ms music my mystic new night ninja nice north ocean official old panda
        panther party peace peach pink pirate pixel play poker power prince princess punk queen rabbit racer
        rain rainbow real red rider river rock rocker rocky rose royal runner sailor school sexy shadow
        shark silver simple sky smart smile smiley snake snow soccer soldier soul south spider sport star
        storm strong studio stuff sun sunny sunshine super surf surfer sweet swim sword tech the thunder
        tiger time toy travel true turbo ultra unicorn vampire viking violet warrior water web white wild
        wind winter witch wizard wolf wonder world writer yellow young zen accounts acct admin agency ap ar
        art assist auto bank billing biz books builders cafe care center centre city clinic coach company
        consult construction contact corp customer dental dept design dev digital direct eco edu energy eng
        enquiry events express farm finance fitness food gallery garden global group guest health help hotel
        hq hr image info invest invoice it lab law legal logistics mail manager market marketing media mfg
        mgmt mobile motors network news office online ops orders parts photo plumbing post press print pro
        procurement production project property pub purchasing realty reception recruit repair research
        reservations restaurant retail sales security service shipping shop smith software solar solutions
        staff store studio supply support systems taxi team test ticket tours trade training transport tv
        user vet video wedding wholesale wine wood works""".split()


# --- Names by language -------------------------------------------------------------------------------------------

_FAKER = {
    "ar": "fr_DZ",
    "az": "az_AZ",
    "bg": "bg_BG",
    "bn": "bn_BD",
    "cs": "cs_CZ",
    "da": "da_DK",
    "de": "de_DE de_AT de_CH de_LU",
    "el": "el_GR",
    "en": "en en_GB en_IE en_US en_NZ",
    "es": "es_ES es_MX es_CL es_CA",
    "et": "et_EE",
    "fi": "fi_FI",
    "fr": "fr_FR fr_BE fr_CA",
    "ga": "ga_IE",
    "gu": "gu_IN",
    "ha": "ha_NG",
    "hi": "hi_IN en_IN mr_IN",
    "hr": "hr_HR",
    "hu": "hu_HU",
    "hy": "hy_AM",
    "id": "id_ID",
    "ig": "ig_NG",
    "is": "is_IS",
    "it": "it_IT",
    "ja": "ja_JP",
    "ka": "ka_GE",
    "ko": "ko_KR",
    "lt": "lt_LT",
    "lv": "lv_LV",
    "mk": "mk_MK",
    "ne": "ne_NP",
    "nl": "nl_NL nl_BE",
    "no": "no_NO",
    "pl": "pl_PL",
    "pt": "pt_PT pt_BR",
    "ro": "ro_RO",
    "ru": "ru_RU",
    "sk": "sk_SK",
    "sl": "sl_SI",
    "sv": "sv_SE",
    "sw": "sw en_KE",
    "ta": "ta_IN",
    "th": "en_TH",
    "tr": "tr_TR",
    "tw": "tw_GH",
    "uk": "uk_UA",
    "ur": "en_PK",
    "uz": "uz_UZ",
    "vi": "vi_VN",
    "yo": "yo_NG",
    "zh": "zh_CN zh_TW",
    "zu": "zu_ZA",
}
_MIMESIS = {
    "cs": "cs",
    "da": "da",
    "de": "de de-at de-ch",
    "el": "el",
    "en": "en",
    "es": "es es-mx",
    "et": "et",
    "fi": "fi",
    "fr": "fr",
    "hr": "hr",
    "hu": "hu",
    "is": "is",
    "it": "it",
    "ja": "ja",
    "kk": "kk",
    "ko": "ko",
    "nl": "nl nl-be",
    "no": "no",
    "pl": "pl",
    "pt": "pt pt-br",
    "ru": "ru",
    "sk": "sk",
    "sv": "sv",
    "tr": "tr",
    "uk": "uk",
    "zh": "zh",
}
_LOREM = {
    "cs": "cs_CZ",
    "da": "da_DK",
    "de": "de_DE de_AT",
    "el": "el_GR",
    "en": "en_US",
    "es": "es_ES",
    "fil": "fil_PH",
    "fr": "fr_FR",
    "it": "it_IT",
    "nl": "nl_NL",
    "pl": "pl_PL",
    "ru": "ru_RU",
    "uk": "uk_UA",
    "vi": "vi_VN",
    "az": "az_AZ",
}
_SPELLING: dict[str, Callable[[str], str]] = {
    "ko": _hangul,
    "ja": lambda name: _kana(name) or _latin(name),
    "zh": lambda name: _pinyin(name) if name > "一" else _latin(name),
    "ne": partial(_brahmic, start=0x900),
    "hi": lambda name: _brahmic(name, start=0x900) if name > "ऀ" else _latin(name),
    "bn": partial(_brahmic, start=0x980),
    "gu": partial(_brahmic, start=0xA80),
    "ta": partial(_brahmic, start=0xB80),
}
LANGUAGES = tuple(sorted(_FAKER.keys() | _MIMESIS.keys() | _OWN.keys()))
"""ISO 639 codes of the languages the model knows."""


def _faker(kind: str, locale: str) -> object:
    return importlib.import_module(f"faker.providers.{kind}.{locale}").Provider


def _names(provider: object, name: str) -> set[str]:
    """One list of a provider; some hold their names as keys with weights, some compute them (those add nothing)."""
    names = getattr(provider, name)
    return {name for name in names if isinstance(name, str)} if isinstance(names, (tuple, list, dict)) else set()


def _raw(language: str) -> tuple[set[str], set[str]]:
    """Given and family names as the sources spell them."""
    given: set[str] = set()
    family: set[str] = set()
    own = _OWN.get(language, ("", ""))
    given |= set(own[0].split())
    family |= set(own[1].split())
    for locale in _FAKER.get(language, "").split():
        provider = _faker("person", locale)
        for name in dir(provider):
            if re.match(r"(?:first|middle)_(?:romanized_)?names", name) and "DZ" not in name:
                given |= _names(provider, name)
            if re.match(r"(?:unisex_|male_|female_)?last_(?:romanized_)?names", name):
                family |= _names(provider, name)
    for locale in _MIMESIS.get(language, "").split():
        person = json.loads(resources.files("mimesis.datasets").joinpath(locale, "person.json").read_text("utf-8"))
        for into, names in ((given, person.get("names", [])), (family, person.get("surnames", []))):
            for group in names.values() if isinstance(names, dict) else [names]:
                into |= set(group)
    # Providers that know no name of a kind inherit these two.
    return given - {"John", "Jane"}, family - {"Doe"}


def _part(word: str) -> str:
    """Which part a word belongs to, by its spelling alone."""
    drawn = hashlib.sha256(word.encode()).digest()[0] / 256
    return PARTS[0] if drawn < 0.7 else PARTS[1] if drawn < 0.8 else PARTS[2]


def _spelt(language: str, names: Iterable[str]) -> set[str]:
    spell = _SPELLING.get(language, _latin)
    spelt = set()
    for name in names:
        ways = [spell(name)]
        if language in ("de", "da", "no", "sv", "fi"):
            ways.append(_latin(name.lower().translate(_UMLAUTS)))
        spelt |= {re.sub(r"[\s'’`.\-]+", "", way) for way in ways}
    return {word for word in spelt if re.fullmatch(r"[a-z]{2,}", word)}


@cache
def material(language: str, part: str) -> Words:
    """The names of a language that belong to one part (see `PARTS`), sorted."""
    given, family = (
        tuple(sorted(word for word in _spelt(language, names) if _part(word) == part)) for names in _raw(language)
    )
    return Words(given or family, family or given)


@cache
def common_words(part: str) -> tuple[str, ...]:
    """Words of prose, and those people make screen names and shared mailboxes of, that belong to one part."""
    from pydoc_data.topics import topics

    words = set(re.findall(r"\b[a-z]{3,14}\b", "\n".join(topics.values())))
    for language, locales in _LOREM.items():
        for locale in locales.split():
            words |= _spelt(language, _faker("lorem", locale).word_list)  # type: ignore[attr-defined]
    return tuple(sorted(word for word in words | set(_ONLINE) if _part(word) == part))


_FORMATS = (
    ("{g}.{f}", 22),
    ("{g}{f}", 14),
    ("{i}{f}", 10),
    ("{i}.{f}", 6),
    ("{g}_{f}", 4),
    ("{g}-{f}", 2),
    ("{f}.{g}", 5),
    ("{f}{g}", 5),
    ("{f}{i}", 3),
    ("{g}{j}", 2),
    ("{g}.{j}", 2),
    ("{g}", 5),
    ("{f}", 5),
    ("{g}.{k}.{f}", 2),
    ("{i}{k}{f}", 4),
    ("{g}{k}{f}", 2),
    ("{i}.{k}.{f}", 1),
    ("{g}.{h}", 2),
    ("{g}{h}", 3),
    ("{g}{h}{f}", 2),
    ("{g}.{h}.{f}", 1),
    ("{f}{i}{k}", 2),
)


def people(words: Words, count: int, seed: int) -> list[str]:
    """Local parts as people of one language have them, a fifth of them with a number after the name."""
    choice = random.Random(seed)
    formats = choice.choices([form for form, _ in _FORMATS], [weight for _, weight in _FORMATS], k=count)
    made = []
    for form in formats:
        given, other, family = choice.choice(words.given), choice.choice(words.given), choice.choice(words.family)
        middle = choice.choice(words.given)
        local = form.format(g=given, h=other, f=family, i=given[0], j=family[0], k=middle[0])
        if choice.random() < 0.2:
            local += choice.choice(("", "", "", ".", "_")) + _number(choice)
        made.append(local)
    return made


def _number(choice: random.Random) -> str:
    return choice.choice(
        (
            str(choice.randint(1, 9)),
            f"{choice.randint(0, 99):02}",
            str(choice.randint(1950, 2012)),
            str(choice.randint(100, 999)),
            str(choice.randint(1000, 99999)),
        )
    )


def screen_names(words: tuple[str, ...], names: Words, count: int, seed: int) -> list[str]:
    """Local parts made of words: screen names, shops, shared mailboxes."""
    choice = random.Random(seed)
    made = []
    for _ in range(count):
        pick = [choice.choice(words) for _ in range(choice.choice((1, 2, 2, 2, 3)))]
        if choice.random() < 0.35:
            pick[choice.randrange(len(pick))] = choice.choice(names.given)
        if choice.random() < 0.08:
            # hvacpros, kfzwerkstatt: the initials of a few words.
            pick[0] = "".join(choice.choice(words)[0] for _ in range(choice.choice((2, 3, 3, 4))))
        elif choice.random() < 0.04:
            # mgmtdept, hrsrvcs: a word without its vowels.
            pick[-1] = pick[-1][0] + re.sub("[aeiou]", "", pick[-1][1:])
        local = choice.choice(("", "", "", ".", "_", "-")).join(pick)
        if choice.random() < 0.25:
            local += _number(choice)
        elif choice.random() < 0.06:
            local = _number(choice) + local
        elif choice.random() < 0.08:
            # 4ever, gr8, m8: a digit in place of a sound.
            place = choice.randrange(len(local))
            local = local[:place] + choice.choice("0123456789") + local[place:]
        made.append(local)
    return made


# --- The model ---------------------------------------------------------------------------------------------------

_ALPHABET = "." + string.ascii_lowercase + "0"
_UNIT = 16
_DISCOUNT = 0.6
_SLOPE = 0.15
"""Nats per character that language may do worse than chance: languages that taught nothing lie there."""
_LEAST_OFFSET = 9.0
"""Nats of evidence that are always asked for: of ten thousand local parts perhaps one is random (ln 10,000 = 9.2)."""
_FALSE_ALARMS = 0.003
"""Share of the part that sets the line, in its worst language, that may lie beyond it."""
_TEACHING, _SETTING = 6_000, 3_000


@cache
def local_parts(language: str, part: str, count: int, seed: int) -> tuple[str, ...]:
    """Made-up local parts of one language, or of `SCREEN_NAMES`, from the material of one part."""
    if language == SCREEN_NAMES:
        return tuple(screen_names(common_words(part), material("en", part), 3 * count, seed))
    return tuple(people(material(language, part), count, seed))


@cache
def counts(language: str) -> npt.NDArray[np.float64]:
    """How often each character follows each two in the teaching part: 28 x 28 x 28."""
    text = "".join(f"..{local}." for local in local_parts(language, PARTS[0], _TEACHING, seed=1))
    text = re.sub("[0-9]", "0", re.sub("[^a-z0-9]", ".", text))
    places = np.frombuffer(text.encode(), np.uint8)
    lookup = np.zeros(128, np.int64)
    lookup[[ord(letter) for letter in _ALPHABET]] = range(len(_ALPHABET))
    first, second, third = (lookup[places[shift : len(places) - 2 + shift]] for shift in range(3))
    inside = ~((second == 0) & (third == 0))
    cube = np.zeros((len(_ALPHABET),) * 3)
    np.add.at(cube, (first[inside], second[inside], third[inside]), 1)
    return cube


def weights(languages: Iterable[str] = (*LANGUAGES, SCREEN_NAMES)) -> npt.NDArray[np.int16]:
    """
    ln(P by chance / P in language) for every three characters, in sixteenths of a nat, at most 8 nats either way.

    P in language: absolute discounting, interpolated with pairs, single characters and an even spread (Ney, Essen and
    Kneser 1994). P by chance: every letter and digit alike; which digit it is tells nothing.
    """
    trigrams = sum((counts(language) for language in languages), np.zeros((len(_ALPHABET),) * 3))
    language = np.full(len(_ALPHABET), 1 / len(_ALPHABET))
    for seen in (trigrams.sum((0, 1)), trigrams.sum(0), trigrams):
        total = np.maximum(seen.sum(-1, keepdims=True), 1)
        left_over = np.where(seen.any(-1, keepdims=True), _DISCOUNT * (seen > 0).sum(-1, keepdims=True) / total, 1)
        language = np.maximum(seen - _DISCOUNT, 0) / total + left_over * language
    boundary = 0.06
    chance = np.array([boundary, *[(1 - boundary) / 36] * 26, (1 - boundary) * 10 / 36])
    nats = np.log(chance / language)
    # From one row to the next, and between two separators, nothing is learnt.
    nats[:, 0, 0] = 0
    rounded: npt.NDArray[np.int16] = np.clip(np.rint(nats * _UNIT), -8 * _UNIT, 8 * _UNIT).astype(np.int16)
    return rounded


def _offset(model: CharacterModel) -> float:
    """The offset of the line at which no language has more than the false alarms allowed."""
    offsets = []
    for language in (*LANGUAGES, SCREEN_NAMES):
        base = pl.Series(local_parts(language, PARTS[1], _SETTING, seed=2))
        size = base.str.len_bytes()
        beyond = (log_odds(base, model) * size - _SLOPE * size).drop_nulls()
        offsets.append(beyond.quantile(1 - _FALSE_ALARMS))
    return max(_LEAST_OFFSET, math.ceil(10 * max(offset for offset in offsets if offset is not None)) / 10)


def main() -> None:
    """Train, set the line and write the model."""
    cube = weights()
    model = CharacterModel(tuple(cube.ravel().tolist()), _UNIT, 0.0, _SLOPE)
    sources = ", ".join(f"{name} {metadata.version(name)} (MIT)" for name in ("Faker", "mimesis", "pypinyin"))
    lines = [
        "# How telling each character of a local part is: for every two characters, the weights of the next one in the",
        f"# order {_ALPHABET} (a boundary, the letters, any digit). Positive: chance explains it better than",
        "# language does. A local part is gibberish where the sum exceeds offset + slope * characters, in nats.",
        f"# source: counted by benchmarks/train_gibberish.py over {sources},",
        "# the Python language reference (PSF) and lists of the authors; "
        f"{len(LANGUAGES)} languages, no name is contained",
        "# version: 2026.11",
        "# licence: Apache-2.0",
        f"# date: {datetime.date.today().isoformat()}",
        f"# unit: {_UNIT}",
        f"# offset: {_offset(model)}",
        f"# slope: {_SLOPE}",
        "before,weights",
    ]
    for first, second in product(range(len(_ALPHABET)), repeat=2):
        row = " ".join(map(str, cube[first, second].tolist()))
        lines.append(f"{_ALPHABET[first]}{_ALPHABET[second]},{row}")
    OUTPUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{OUTPUT.name}: {OUTPUT.stat().st_size:,} bytes, offset {_offset(model)}")


if __name__ == "__main__":
    main()
