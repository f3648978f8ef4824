// SPDX-License-Identifier: Apache-2.0
#include "report/words.h"

#include <errno.h>

// clang-format off
// clang-format off
static const struct {
    const char *name, *words;
} classes[] = {
    {"digits",
     "\\d+(?:[,. ]\\d{3})*(?:\\.\\d+)?"},
    {"numeral",
     "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|"
     "fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|"
     "eighty|ninety|(?:a )?hundred|(?:a )?thousand|(?:a )?dozen|dozens(?: of)?|hundreds(?: "
     "of)?|thousands(?: of)?|scores of|a handful of|several|a couple of"},
    {"number",
     "{digits}|(?:{numeral})(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?"},
    {"month",
     "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
     "sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\\b\\.?"},
    {"date",
     "\\d{4}-\\d\\d(?:-\\d\\d)?|\\d{1,2}(?:st|nd|rd|th)? (?:of )?{month}|{month} \\d{1,4}|"
     "(?:mon|tues|wednes|thurs|fri|satur|sun)day|yesterday|today"},
    {"span",
     "(?:hours?|days?|weeks?|months?|quarters?|years?|window|period|summer|autumn|winter|"
     "spring)"},
    {"state",
     "china|prc|beijing|russia|moscow|(?:the )?kremlin|iran|tehran|north korea|dprk|pyongyang|"
     "israel|the united states|u\\.s\\.|usa|washington|the uk|britain|london|france|paris|"
     "germany|berlin|india|delhi|pakistan|vietnam|hanoi|turkey|ankara|syria|ukraine|belarus|"
     "minsk|south korea|seoul|japan|tokyo|taiwan|saudi arabia"},
    {"demonym",
     "chinese|russian|iranian|north korean|israeli|american|british|french|german|indian|"
     "pakistani|vietnamese|turkish|syrian|ukrainian|belarus(?:s)?ian|south korean|japanese|"
     "taiwanese|saudi|foreign|hostile|enemy"},
    {"organ",
     "pla|people's liberation army|gru|fsb|svr|mss|irgc|nsa|cia|mossad|ministry of state "
     "security|reconnaissance general bureau|unit \\d{3,}|(?:the |a |its |his |their "
     ")?(?:\\w+ ){0,2}(?:government|ministry|military|army|intelligence (?:service|agency|"
     "services|agencies)|security service|secret service|state|nation[- ]state|regime|"
     "politburo|armed forces)"},
    {"agreement",
     "(?:agreements?|accords?|deal|pact|treat(?:y|ies)|commitments?|pledges?|promises?|"
     "understanding|truce|cease-?fire|memorandum|terms|moratorium|norms?|its word|their word|"
     "obligations?)"},
    {"event",
     "{agreement}|summit|visit|sanctions?|indictments?|announcement|meeting|talks|election|"
     "speech|statement|ban|law|handshake|signing|diplomacy|negotiations?"},
    {"attack",
     "(?:(?:cyber-?)?attacks?|intrusions?|attempts?|incidents?|breach(?:es)?|compromises?|"
     "campaigns?|hacks?|infections?|break-ins?|operations?|intrusion attempts?)"},
    {"actor",
     "(?:attackers?|intruders?|actors?|adversar(?:y|ies)|hackers?|perpetrators?|groups?|"
     "operators?|spies|they|it|he|she|criminals?|culprits?|threat actors?)"},
    {"client",
     "(?:clients?|customers?|compan(?:y|ies)|firms?|organi[sz]ations?|victims?|targets?|"
     "businesses|corporations?|makers?|manufacturers?|providers?|enterprises?|institutions?|"
     "operators?|banks?|hospitals?|universit(?:y|ies)|agenc(?:y|ies))"},
    {"sector",
     "(?:technology|tech|drugs?|pharmaceuticals?|pharma|steel|energy|banking|financial|"
     "finance|telecoms?|telecommunications?|health(?:care)?|defen[cs]e|aerospace|automotive|"
     "chemicals?|mining|semi-?conductors?|insurance|retail|media|education|logistics|legal|"
     "manufacturing|biotech(?:nology)?|software|hardware|utilit(?:y|ies)|oil|gas|oil and gas|"
     "shipping|airline|transport|hospitality|food|agricultural|construction|nuclear|solar|"
     "water|government|engineering|medical|internet|cloud|gaming|travel|consulting|research)"},
    {"data",
     "(?:data|information|files?|records?|documents?|secrets|trade secrets|property|"
     "intellectual property|research|credentials|e-?mails?|designs?|source code|money|funds|"
     "passwords?|anything)"},
    {"taken",
     "(?:stolen|taken|lost|ex-?filtrated|copied|accessed|compromised|leaked|read|sent|"
     "affected|removed|extracted|obtained|exposed|downloaded|breached|viewed|touched|gone|"
     "missing|got out|left)"},
    {"stopped",
     "(?:stopped|blocked|prevented|foiled|thwarted|defeated|unsuccessful|repelled|contained|"
     "averted|failed|caught in time|intercepted)"},
    {"group",
     "(?:apt[- ]?(?:c-)?\\d+|unc\\d{3,5}|fin\\d{1,2}|ta\\d{3,4}|g[01]\\d{3}|dev-\\d{4}|"
     "storm-\\d{4}|temp\\.\\w+|\\w+ (?:panda|bear|kitten|spider|chollima|buffalo|jackal|"
     "leopard|crane|hawk|typhoon|blizzard|sandstorm|sleet|tempest|flood|cyclone|rain|tsunami|"
     "hail|taurus|ursa|libra|lynx|scorpius|pisces)|shell crew|black vine|lazarus(?: group)?|"
     "sandworm|turla|equation group|axiom|winnti|kimsuky|carbanak|oilrig|muddywater|gamaredon|"
     "dragonfly|energetic bear|cobalt group|comment crew|kungfu kittens|codoso|sunshop|"
     "pinkpanther|webmasters|hafnium|nobelium|naikon|tick|sidewinder|patchwork|transparent "
     "tribe|machete|gallium|silence|the dukes|sofacy|strontium|duqu group|hidden lynx|"
     "elderwood|putter|nettraveler)"},
    {"likelihood",
     "(?:almost no chance|(?:very |highly )?(?:un)?likely|roughly even(?: chance)?|almost "
     "certain(?:ly)?|(?:im)?probabl[ey]|even chance|remote chance|in all likelihood)"},
    {"hedge",
     "{likelihood}|may|might|could|possibl[ey]|perhaps|consistent with|compatible with|"
     "hypothes[ei]s|we assess|low confidence|moderate confidence|high confidence|candidates?|"
     "if|assum(?:e|ed|ing)|suggests?|not excluded"},
    {"disclaim",
     "(?:we|this report|the report|it|the (?:evidence|data|figures|count|counts|facts|numbers|"
     "records?))(?: (?:alone|itself|here))? (?:do|does|did|can|could|would|will|should)(?: "
     "?not|n't)\\b(?: \\w+){0,2}? (?:claim|say|state|know|assert|conclude|tell|judge|infer|"
     "determine|establish|show|prove|demonstrate|support|allow|mean|imply|carry|settle|answer|"
     "speak|suffice|let|permit|decide|address|take|answer|attribute|name|identify|reveal|"
     "justify|see why)|cannot (?:\\w+ )?(?:claim|say|be (?:said|shown|told|known|claimed|"
     "concluded|established|excluded|determined|inferred|proven|derived|answered|decided|"
     "ruled out)|tell|know|conclude|determine|prove|show|establish|exclude|distinguish|"
     "support|see|decide|judge|infer|rule out)|(?:is|are|was|were|not|nothing is|none is) "
     "(?:not )?(?:claimed|known|asserted|shown|established|stated|said) (?:here|in this "
     "report|by this report|to be|by us)|(?:is|are) not (?:claimed|known|shown|established|"
     "asserted|concluded|proven|stated|evidence|proof)|not claimed|no (?:claim|statement|"
     "conclusion|finding|judge?ment|position|inference|view)\\b(?: \\w+){0,3} (?:is|are|about|"
     "on|that|of|as to|whether)|makes? no (?:claim|statement|judge?ment|conclusion)|(?:is|are|"
     "remains?|stays?) (?:unknown|open|undecided|not known)|whether|it is unknown|we have no "
     "(?:view|basis|evidence either way)|no basis (?:for|to)|would need|what this report does "
     "not say|not to be read as|(?:must|should) not be (?:read|taken|quoted)|we refuse to|we "
     "decline to|we leave open|too (?:few|little|short) to"},
    {"coverage",
     "monitored|(?:within|inside|in|of|outside) (?:the |our |its |their |this |that |full "
     ")*coverage|covered (?:hosts?|servers?|machines?)|watched (?:hosts?|servers?|machines?|"
     "systems?)|(?:hosts?|servers?|machines?|systems?) (?:that )?(?:we |were |was |are "
     ")+(?:watch|monitor|cover|instrument)|instrumented|under observation|with (?:a |our "
     ")?sensors?"},
    {"violated",
     "violat(?:e[sd]?|ing|ions?|ors?)|breach(?:e[sd]|ing)?|br(?:eaks?|oke|oken|eaking|each "
     "of)|reneg(?:e[sd]?|ing)|flout(?:s|ed|ing)?|def(?:y|ies|ied|ying)|ignor(?:e[sd]?|ing)|"
     "disregard(?:s|ed|ing)?|dishonou?r(?:s|ed|ing)?|contraven(?:e[sd]?|ing|tions?)|"
     "infring(?:e[sd]?|ing|ements?)|cheat(?:s|ed|ing)?(?: on)?|circumvent(?:s|ed|ing)?|"
     "betray(?:s|ed|ing|al)?|undermin(?:e[sd]?|ing)|in defiance of|contrary to|walked away "
     "from|went back on|go(?:es|ing|ne)? back on|t(?:ore|orn) up|non-?compliance|did not hold|"
     "disrespect(?:s|ed|ing)?|mock(?:s|ed|ing|ery)?|worthless|not worth the paper|meant "
     "nothing|dead letter|(?:fail(?:s|ed|ure|ing)?|refus(?:e[sd]?|ing)) to (?:honou?r|keep|"
     "comply|abide|respect|uphold|observe|follow)|(?:did|does|do|has|have|is|are|was|were)(?: "
     "not|n't) (?:been )?(?:honou?r(?:ed|ing)?|ke(?:ep|pt|eping)|compl(?:y|ied|ying)|abid(?:e|"
     "ing)|respect(?:ed|ing)?|upheld|uphold|adher(?:e|ed|ing)|observ(?:e|ed|ing)|follow(?:ed|"
     "ing)?|stuck|st(?:ick|icking)|liv(?:e|ed|ing) up)|lasted (?:less|only|no longer|not|"
     "barely)|(?:has|had|have) gone back on|gone back on"},
    {"kept",
     "honou?r(?:s|ed|ing)?|ke(?:pt|eps|eping)|compl(?:ies|ied|ying)|abid(?:es|ed|ing)|"
     "respect(?:s|ed|ing)|up(?:held|holds)|adher(?:es|ed|ing)|st(?:uck|icks) (?:to|by)|"
     "liv(?:es|ed|ing) up|stick(?:s|ing) (?:to|by)"},
    {"changed",
     "more|fewer|less|increas(?:e[sd]?|ing)|decreas(?:e[sd]?|ing)|declin(?:e[sd]?|ing)|fell|"
     "fall(?:en|ing|s)?|drop(?:s|ped|ping)?|rose|ris(?:e[ns]?|ing)|grew|grow(?:n|ing|th)?|"
     "surg(?:e[sd]?|ing)|spik(?:e[sd]?|ing)|unchanged|no (?:\\w+ )?(?:change|let-?up|"
     "slow-?down|decrease|increase|difference|drop|decline|effect|sign of)|unabated|"
     "continu(?:e[sd]?|ing)|slow(?:s|ed|ing|er|down)?|same (?:pace|rate|level|frequency)|"
     "persist(?:s|ed|ing)?|doubled|halved|tripled|reduc(?:e[sd]?|ing|tions?)|up(?:surge|tick|"
     "turn)|wave|lull|paus(?:e[sd]?|ing)|ceas(?:e[sd]?|ing)|resum(?:e[sd]?|ing)|(?:went|going|"
     "gone|is|are|was|were|came) (?:up|down)|escalat(?:e[sd]?|ing|ion)|intensif(?:y|ied|ies)|"
     "accelerat(?:e[sd]?|ing|ion)|abat(?:e[sd]?|ing)|dwindl(?:e[sd]?|ing)|twice as|half as|"
     "per cent (?:more|less|fewer)|disappear(?:ed)?|dried up|quieter|busier|as (?:many|often|"
     "much) as before|did(?: not|n't) (?:stop|change|end)|stopped|jump(?:s|ed|ing)?|"
     "plummet(?:ed)?|soar(?:ed|ing)?|higher|lower|never stopped|still (?:attack|com|go|hack|"
     "target)\\w*|not (?:really |much )?(?:changed|slowed|stopped|fallen|risen)|changed "
     "little|as (?:many|often|much)"},
    {"suffix",
     "(?-i:[A-Z][\\w&-]+(?: [A-Z][\\w&-]+){0,3},? (?:Inc|Corp|Corporation|Ltd|Limited|LLC|"
     "GmbH|AG|SA|SE|PLC|plc|NV|BV|AB|Oy|KG|SpA|S\\.A\\.|S\\.p\\.A\\.|Co)\\b)"},
};
// clang-format on

static int expand(const char *pattern, size_t known, struct buf *ret)
{
    for (const char *p = pattern; *p; p++) {
        const char *end = *p == '{' && p[1] >= 'a' && p[1] <= 'z' ? strchr(p, '}') : NULL;
        if (!end) {
            buf_add_char(ret, *p);
            continue;
        }
        size_t i = 0;
        struct str name = {p + 1, (size_t)(end - p - 1)};
        while (i < known && !str_eq(str_from(classes[i].name), name))
            i++;
        if (i == known)
            return -EINVAL;
        buf_add_str(ret, STR("(?:"));
        int r = expand(classes[i].words, i, ret);
        if (r < 0)
            return r;
        buf_add_char(ret, ')');
        p = end;
    }
    return ret->failed;
}

int report_words_expand(const char *pattern, struct buf *ret)
{
    return expand(pattern, sizeof classes / sizeof *classes, ret);
}
