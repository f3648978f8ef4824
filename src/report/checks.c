// SPDX-License-Identifier: Apache-2.0
// Patterns are PCRE2's, without regard to case, over one sentence; {class} is of words.c.
// `found` finds, `but` makes harmless.
#include "report/checks.h"

// clang-format off

// ---- R1: that a party broke an agreement

static const char *const broken_found[] = {
    "\\b{violated}\\b(?:.{0,70}?)\\b{agreement}\\b",
    "\\b{agreement}\\b(?:.{0,60}?)\\b{violated}\\b",
    "\\b(?:{state}|(?:{demonym}) \\w+|{organ})\\b.{0,40}\\b{violated}\\b",
    NULL,
};
static const char *const broken_but[] = {
    "{disclaim}", "\\bR1\\b", "data breach",
    "breach(?:e[sd])? (?:the |a |its |their )?(?:network|server|system|host|machine|perimeter|"
     "web ?site|database)s?",
    NULL,
};

// ---- R1: that one kept it

static const char *const kept_found[] = {
    "\\b(?:{state}|(?:{demonym}) \\w+|{organ}|sides?|part(?:y|ies)|signator(?:y|ies)|it|"
     "they)\\b.{0,40}\\b{kept}\\b(?:.{0,40}?)\\b{agreement}\\b",
    "\\b{agreement}\\b.{0,30}\\b(?:is|was|has been|being|were|are|been) (?:fully |being "
     ")?(?:honou?red|kept|upheld|respected|holding|working|effective)\\b",
    "\\b{agreement}\\b (?:is |has )?(?:held|holds|works|worked|holding|working)\\b",
    NULL,
};
static const char *const kept_but[] = {
    "{disclaim}", "\\bR1\\b", "\\bwe (?:kept|keep|honou?r|respect)",
    NULL,
};

// ---- R2: a few clients by sector

static const char *const few_found[] = {
    "\\b(?:one|two|three|four|[1-4]|a|an|the|single|only|sole)\\b (?:\\S+ ){0,2}?{sector}(?:[- "
     "](?:sector|industry))? (?:\\w+ )?{client}\\b.{0,80}\\b(?:attack|target|hit|compromis|breach|"
     "hack|intrud|intrusion|attempt|victim|affected|{date})\\w*",
    "\\b(?:one|two|three|four|[1-4]|single|only|sole)\\b (?:\\w+ )?(?:banks?|hospitals?|"
     "universit(?:y|ies)|ministr(?:y|ies)|airlines?|airports?|insurers?|retailers?|refiner(?:y|"
     "ies))\\b.{0,60}\\b(?:attack|target|hit|compromis|breach|hack|intrud|intrusion|attempt|"
     "victim|affected)\\w*",
    "\\b(?:attack|target|hit|compromis|breach|hack|intrud|intrusion|attempt|victim|"
     "against)\\w*\\b.{0,80}\\b(?:one|two|three|four|[1-4]|single|sole) (?:\\w+ "
     "){0,2}?{sector}(?:[- ](?:sector|industry))?(?: (?:\\w+ )?{client})?\\b",
    "\\b(?:attack|target|hit|compromis|breach|hack|intrud|intrusion|attempt|"
     "victim)\\w*\\b.{0,60}\\b(?:a|an|the) (?:\\w+ ){0,2}?{sector}(?:[- ](?:sector|industry))? "
     "(?:\\w+ )?{client}\\b",
    "\\bof the {number}\\b.{0,20}?\\b(?:one|two|three|four|[1-4]) (?:were|was|are|is)\\b",
    NULL,
};
static const char *const few_but[] = {
    "{disclaim}", "\\bR2\\b", "withheld", "fewer than \\d", "suppress",
    NULL,
};

// ---- R2: a company, or what can only be one

static const char *const named_found[] = {
    "{suffix}",
    "\\b(?:the |a )?(?:country|nation|world|region|state|city|market|industry)'s (?:largest|"
     "biggest|leading|oldest|only|second[- ]largest|top)\\b",
    "\\b(?:the )?(?:largest|biggest|leading|oldest|only|best[- ]known) (?:\\w+ ){0,3}{client} "
     "(?:in|of|on)\\b",
    "\\b(?:fortune|nasdaq|nyse|dax|ftse)[- ]?\\d*\\b.{0,30}{client}",
    "\\b{client}\\b.{0,30}\\b(?:headquartered|based|located) in\\b",
    "\\b(?:named|called|known as|namely)\\b.{0,40}\\b{client}",
    "\\bits (?:ceo|founder|brand|product)s?\\b",
    NULL,
};
static const char *const named_but[] = {
    "{disclaim}", "\\bR2\\b", "\\bvendor\\b", "\\bpublished by\\b", "\\baccording to\\b",
    "\\breport by\\b", "\\breported by\\b", "\\bcopyright\\b", "\\btrademark\\b", "\\breleased\\b",
    "\\bpatch\\b", "\\bproduct of\\b", "\\bsoftware of\\b", "\\blicen[cs]e\\b",
    "\\bmanufacturer of the software\\b",
    NULL,
};

// ---- R2: addresses, names and mailboxes from inside

static const char *const internal_found[] = {
    "\\b(?:10|192\\.168|172\\.(?:1[6-9]|2\\d|3[01]))\\.\\d{1,3}\\.\\d{1,3}(?:\\.\\d{1,3})?\\b",
    "\\b[\\w-]+\\.(?:corp|local|internal|lan|intranet)\\b",
    "\\b[\\w.+-]+@[\\w-]+\\.[\\w.]+\\b",
    "\\b(?:[\\w-]+\\.)*(?:dc|srv|web|db|mail|vpn)\\d+\\.[\\w-]+\\.\\w+\\b",
    NULL,
};
static const char *const internal_but[] = {
    "\\bR2\\b", "\\bcontact\\b", "\\breport(?:s)? to\\b",
    NULL,
};

// ---- R3

static const char *const intent_found[] = {
    "\\bin order to\\b", "\\bso as to\\b",
    "\\bwith the (?:\\w+ )?(?:aim|goal|intent|intention|purpose|objective|hope) of\\b",
    "\\bfor the purpose of\\b",
    "\\b(?:was|were|is|are|being) (?:\\w+ )?(?:intended|aimed|meant|designed|directed) (?:to|at|"
     "for)\\b",
    "\\bintend(?:ed|s|ing)? to\\b", "\\baim(?:ed|s|ing)? (?:at|to)\\b",
    "\\bs(?:ought|eeks?|eeking) (?:to|out)\\b",
    "\\bwant(?:s|ed|ing)?\\b",
    "\\b(?:was|were|is|are) (?:retaliation|revenge|a (?:warning|message|test|provocation))\\b",
    "\\b(?:was|were|is|are|been) (?:clearly |only |really |surely |obviously |plainly )?(?:after|"
     "interested in|hunting|looking for|going after|bent on)\\b",
    "\\btr(?:ied|ying|ies) to (?:steal|get|obtain|take|spy|collect|exfiltrate|copy)\\b",
    "\\b(?:motivated|driven) by\\b",
    "\\b(?:goals?|aims?|objectives?|motives?|motivations?|intent|intentions?|purpose|mission|"
     "reason|targets?)(?:: (?=\\w)| (?:of \\S+ (?:\\S+ ){0,3})?(?:was|were|is|are|appears to be))\\b",
    "\\bdesigned to (?:steal|spy|collect|take|exfiltrate|disrupt|destroy)\\b",
    "\\bto (?:steal|spy on|exfiltrate|pilfer|collect intelligence|gain (?:an )?(?:economic|"
     "competitive|military|commercial)|sabotage|embarrass|blackmail|extort|enrich|benefit|help|"
     "give)\\b\\b",
    "\\b(?:for|of|as) (?:\\w+ )?(?:espionage|financial gain|profit|commercial (?:gain|advantage)|"
     "competitive advantage|intelligence (?:gathering|collection|purposes)|sabotage|economic gain|"
     "revenge|ransom)\\b",
    "\\b(?:economic|industrial|commercial|corporate|cyber|political|military) ?-?espionage\\b",
    "\\bespionage (?:attack|operation|campaign|group)\\b",
    "\\bon a mission to\\b", "\\bdeliberately\\b", "\\bpurposely\\b", "\\bon purpose\\b",
    "\\bin retaliation\\b", "\\bretaliat(?:ed|ory|ing)\\b",
    "\\bas a (?:warning|message|test|signal|provocation)\\b",
    "\\bknew (?:exactly )?what\\b",
    NULL,
};
static const char *const intent_but[] = {
    "{disclaim}", "\\bR3\\b", "\\b{hedge}\\b",
    "\\b(?:we|this report|the report|section|chapter|chart|figure|table|rule|checker|sensor|"
     "agent|product|tiercel|clause|agreement|statement|parties|reader|text|method|analysis|"
     "settings?|polic(?:y|ies))\\b.{0,40}\\b(?:aim|intend|design|want|seek|sought|meant|try|tried|"
     "in order to|purpose|goal|prohibit|bans?|forbids?|concern|cover|is about|address|to help|to "
     "give|rules? out)",
    "\\bin order to (?:protect|compare|count|reproduce|avoid|keep|verify|measure)",
    "(?:purpose|aim|goal) of this",
    NULL,
};

// ---- R4

static const char *const theft_found[] = {
    "\\b(?:no|not any|zero|0|not a single|not one)\\b (?:\\S+ ){0,4}?{data}\\b(?: \\S+){0,5}? "
     "{taken}\\b",
    "\\bnothing (?:at all |of value |sensitive |important |valuable |whatsoever )?(?:was|has "
     "been|had been|got|is|left|were|came|went)\\b",
    "\\b(?:no|zero|without(?: any)?|not a) (?:\\w+ ){0,3}?(?:theft|ex-?filtration|(?:data "
     ")?loss(?:es)?|data breach|leaks?|leakage|success|damage|harm|impact|successful \\w+)\\b",
    "\\bnone (?:of (?:\\S+ ){1,5})?(?:resulted|led|succeeded|was successful|were successful|"
     "reached|got|achieved|worked|did|was stolen|were stolen|ended|stole|took|obtained|left)\\b",
    "\\b(?:all|every|each|each and every)\\b (?:\\S+ ){0,8}?(?:was|were|is|are|been|have|has|"
     "being)? ?{stopped}\\b",
    "\\b{attack}\\b (?:\\S+ ){0,3}?(?:was|were) (?:all |completely |fully |entirely "
     ")?unsuccessful",
    "\\bfail(?:ed|s)? to (?:steal|ex-?filtrate|take|get|obtain|extract|copy|reach)",
    "\\bempty[- ]handed",
    "\\b(?:was|were|is|are|been)(?:n't| not| never) (?:\\w+ )?(?:stolen|taken|ex-?filtrated|"
     "accessed|compromised|leaked|breached|harmed|lost|touched|copied)\\b",
    "\\b(?:did(?: not|n't)|never|could(?: not|n't)|was unable to|were unable to) (?:\\w+ "
     ")?(?:steal|take|ex-?filtrate|get (?:any|away|out|their|in)|obtain|lose|leak|reach (?:any|"
     "the|their)|manage|succeed|left|leave|stole|took|got)\\b",
    "\\bno (?:\\w+ )?(?:evidence|sign|signs|indication|indications|trace|traces|proof) (?:of|"
     "that|whatsoever)\\b.{0,60}(?:theft|ex-?filtrat|stolen|taken|loss|leak|left|compromis|"
     "accessed|success|breach)",
    "\\b{data}\\b.{0,30}\\b(?:remain(?:s|ed)?|stay(?:s|ed)?|is|are|was|were|kept) (?:safe|secure|"
     "intact|untouched|protected|unharmed)\\b",
    "\\bno {client} (?:has |have |had )?(?:lost|suffered|missed)\\b",
    "\\bno (?:{client}|one|body) (?:has |have |had )?(?:lost|suffered|missed)\\b",
    "\\bnever (?:\\w+ )?(?:reached|stole|took|left|got|obtained|accessed|saw|read|touched)\\b",
    "\\b(?:stopped|blocked|prevented) (?:\\w+ ){0,3}before (?:any|data|some|they could|it "
     "could)\\w*",
    NULL,
};
static const char *const theft_but[] = {
    "{disclaim}", "{coverage}", "\\bR4\\b",
    "\\bno (?:change|difference|name|claim)\\b(?!.*(?:theft|stolen|taken|loss))",
    "nothing (?:more )?(?:is|was) (?:known|said|claimed|planned|recorded by hand)",
    NULL,
};

// ---- R5

static const char *const sponsor_found[] = {
    "\\b(?:state|government|nation(?:[- ]state)?|kremlin|regime|military|army|intelligence)[- "
     "](?:sponsored|backed|directed|funded|supported|controlled|affiliated|linked|aligned|run|"
     "nexus|employed|sanctioned|hired|owned|level|ordered|approved)\\b",
    "\\bnation[- ]state (?:actors?|adversar\\w+|attack\\w*|groups?|hackers?|threats?|operation|"
     "campaign)",
    "\\b(?:on behalf of|in the service of|directed by|ordered by|sponsored by|backed by|work(?:s|"
     "ed|ing)? for|tasked by|paid by|funded by|employed by|under the (?:direction|orders|control|"
     "command) of|at the (?:behest|request|order|direction) of|act(?:s|ed|ing)? for|controlled by|"
     "commanded by|supported by|protected by|agents? of|arm of|unit of|part of|tied to|connected "
     "to|blessing of|approval of|with the (?:help|support|knowledge) of|answer(?:s|ing|able)? to|"
     "belongs? to|hired by|contractors? (?:for|of)) (?:\\S+ ){0,3}?(?:{state}|{organ}|"
     "{demonym})\\b",
    "\\b{demonym} (?:state |government |military |cyber[- ]?)?(?:government|state|military|"
     "intelligence|army|spies|hackers?|cyber ?spies|attackers?|operatives?|actors?|groups?|"
     "soldiers|officers|agents|intruders?|adversar\\w+|operators|threat)\\b",
    "\\b(?:{state})\\b (?:\\w+ ){0,2}?(?:hack(?:s|ed|ing)?|attack(?:s|ed|ing)?|is behind|was "
     "behind|stands behind|st(?:ole|eals|ealing)|target(?:s|ed|ing)|spied|spies|infiltrat\\w+|"
     "penetrat\\w+|break(?:s|ing)? into|broke into|is responsible|was responsible|did (?:it|this)|"
     "ordered|conducted|carried out|sponsor\\w*|directed|launched|continues)\\b",
    "\\b(?:attribut\\w+|traced|linked|responsib\\w+|blame\\w*|point(?:s|ed)?|hand|work|culprit|"
     "lead(?:s)?)\\b.{0,40}?\\b(?:to|of|with|for|at|is|was) (?:the )?(?:{state}|{demonym} \\w+|"
     "(?:\\w+ )?(?:government|ministry|military|army|intelligence service)|pla|gru|fsb|svr|mss|"
     "irgc)\\b",
    "\\bpla\\b", "\\bgru\\b", "\\bfsb\\b", "\\bsvr\\b", "\\bmss\\b", "\\birgc\\b",
    "\\bpeople's liberation army\\b", "\\bministry of state security\\b",
    "\\b(?:takes?|took|gets?|got|receives?) (?:its |their |his )?orders from\\b",
    "\\bunit \\d{4,}\\b",
    "\\bstate (?:actors?|hackers?|attackers?|spies)\\b",
    "\\b(?:we |has been |was |were )?trac(?:e[sd]?|ing|ed back) (?:\\S+ ){0,6}?(?:back )?to "
     "(?:the )?(?:{state}|{organ})\\b",
    NULL,
};
static const char *const sponsor_but[] = {
    "{disclaim}", "\\bR5\\b", "in the (?:written )?judge?ment of", "signed by", "named person",
    "judged by", "server[s]? in", "address(?:es)? (?:in|registered)", "registered in", "hosted in",
    "never names a sponsor", "a score", "presidents?\\b.{0,40}\\bagree", "agreed",
    "agreement between", "prohibits?",
    NULL,
};

// ---- R6

static const char *const change_found[] = {
    "\\b{changed}\\b.{0,90}?\\b(?:since|after|following|in the wake of|post|because of|due to|as "
     "a result of|thanks to|despite|in spite of|before|until|compared (?:with|to)|notwithstanding|"
     "owing to|even though|although|in response to|under)\\b.{0,60}?\\b{event}\\b",
    "\\b(?:since|after|following|in the wake of|because of|due to|as a result of|thanks to|"
     "despite|in spite of|before|notwithstanding|under|ever "
     "since)\\b.{0,60}?\\b{event}\\b.{0,90}?\\b{changed}\\b",
    "\\b{event}\\b.{0,40}?\\b(?:worked|works|failed|fails|made no|had no|has had|had (?:an |"
     "little |no )|did nothing|has not|brought|led to|caused|reduced|stopped|ended|slowed|"
     "changed)\\b",
    "\\bsince then\\b.{0,60}{changed}", "{changed}\\b.{0,60}\\bsince then\\b",
    NULL,
};
static const char *const change_but[] = {
    "{disclaim}", "\\bR6\\b", "could not have been seen",
    "a (?:fall|rise|drop|change) smaller than",
    NULL,
};
static const char *const change_part_0[] = {
    "rate ratio", "sensor-days", "host-days",
    "per (?:sensor|host|server|monitored host)",
    "exposure", "relative rate",
    NULL,
};
static const char *const change_part_1[] = {
    "interval", "\\bCI\\b", "credible", "95 ?(?:%|per cent|percent)",
    "\\d(?:\\.\\d+)? (?:to|-) \\d",
    NULL,
};
static const char *const change_part_2[] = {
    "baseline", "before", "earlier", "previous", "prior", "against", "compared", "rate ratio",
    "versus", "\\bvs\\b", "than in",
    NULL,
};

// ---- R7

static const char *const universal_found[] = {
    "\\ball\\b", "\\bevery\\b", "\\beach and every\\b", "\\balways\\b", "\\bnever\\b",
    "\\bwithout exception\\b", "\\bnobody\\b", "\\bno one\\b", "\\beveryone\\b",
    "\\beverywhere\\b", "\\bentirely\\b", "\\bcompletely\\b", "\\btotally\\b",
    "\\b100 ?(?:%|per ?cent)\\b",
    "\\b(?:the )?(?:very )?first(?:[- ]ever| (?:known|recorded|confirmed|documented|public|time|"
     "case|such|attack|instance))\\b",
    "\\bunprecedented\\b",
    "\\b(?:the )?(?:biggest|largest|worst|most (?:sophisticated|advanced|dangerous|serious|"
     "prolific|active))\\b",
    "\\bthe only\\b", "\\bsolely\\b", "\\binvariably\\b", "\\bundoubtedly\\b",
    "\\bwithout (?:a )?doubt\\b", "\\bcertainly\\b", "\\bguarantee[sd]?\\b", "\\bimpossible\\b",
    "\\bproves?\\b", "\\bproof that\\b", "\\bbeyond doubt\\b", "\\bunique(?:ly)?\\b",
    "\\bexclusively\\b", "\\bno other\\b", "\\bany and all\\b", "\\bthe whole\\b",
    "\\bin history\\b", "\\bof all time\\b",
    NULL,
};
static const char *const universal_but[] = {
    "{disclaim}", "\\bR7\\b",
    "\\bnot (?:all|every|always|the only|the first|necessarily)\\b",
    "\\b(?:all|every) (?:the )?(?:times|dates?|hours?|figures?|counts?|numbers?|intervals?|"
     "rates?|percentages?|probabilit(?:y|ies)|sections?|tables?|charts?|quantities|sentences?|"
     "claims?|statements?|amounts?|values?)\\b",
    "\\b(?:all|every one|each) of (?:the|these|its)? ?(?:{number}|monitored|recorded|watched|"
     "counted)",
    "\\ball {digits}\\b",
    "\\bevery (?:\\w+ )?(?:monitored|recorded|watched|counted)",
    "\\ball (?:\\w+ )?(?:monitored|recorded|watched|counted|known to us)",
    "\\bat all\\b(?!.*\\b(?:never|always|every)\\b)",
    "after all",
    "first (?:attempt|attack|intrusion|detection|event)\\b(?! ever)",
    "\\b(?:all|every) .{0,60}{coverage}",
    "{coverage}.{0,60}\\b(?:all|every|entirely|completely|no other|never)\\b",
    "\\bnot (?:completely|entirely|totally|certainly|impossible)",
    "almost certainly", "above all", "first of all",
    "all (?:else|other things) (?:being )?equal",
    "all but", "overall",
    "never (?:both|more than|less than|by a score|claims?|names? a)",
    "is never", "are never", "\\ball (?:of )?(?:the )?{number}\\b",
    "\\ball (?:one|we|that) (?:can|could|is|was)\\b",
    NULL,
};

// ---- R8

static const char *const both_found[] = {
    "\\b{likelihood}\\b.*\\bconfiden(?:t|ce)\\b(?! (?:interval|limit|bound))",
    "\\bconfiden(?:t|ce)\\b(?! (?:interval|limit|bound)).*\\b{likelihood}\\b",
    NULL,
};
static const char *const both_but[] = {
    "\\bR8\\b", "never both", "one or the other", "not both", "{disclaim}.*\\bboth\\b",
    "confidence of \\d",
    NULL,
};

// ---- R9

static const char *const one_name_found[] = {
    "\\b{group}\\b(?:,? \\(?[^.()]{0,30}\\)?)? ?(?:carried out|conducted|attack(?:s|ed)|"
     "breach(?:es|ed)|hack(?:s|ed)|compromis(?:es|ed)|intruded|target(?:s|ed)|(?:was|is|were|are) "
     "(?:behind|responsible|the (?:\\w+ )?(?:attackers?|intruders?|actor|adversary|group|culprit|"
     "perpetrator))|did|launch(?:es|ed)|ran|runs|operated|broke|made|committed|return(?:s|ed)|"
     "stole|tried|attempted|penetrated|entered|infiltrated|struck|hit|went)\\b",
    "\\b(?:carried out|conducted|launched|work|done|made|perpetrated|{attack}|operated|run|"
     "hacked|breached|compromised|attacked|targeted|entered|handiwork|hand|committed|mounted|used|"
     "controlled|owned|staged) (?:was |were |came |come |is |are |being )?(?:by|of|from) (?:the "
     ")?(?:group |actor |adversary |well[- ]known |notorious |threat actor )*{group}\\b",
    "\\b(?:attribut\\w+|link(?:ed)?|trac(?:ed|e)|tied|assigned|ascribed|connected|belong(?:s|"
     "ed)?|pinned|points?|pointed|led|leads) (?:\\S+ ){0,8}?(?:to|on) (?:the )?(?:group |actor |"
     "adversary )?{group}\\b",
    "\\b{actor} (?:was|were|is|are|behind (?:\\S+ ){1,4}(?:was|were|is|are)) (?:the )?(?:group "
     ")?{group}\\b",
    "\\b{group}'s? (?:\\w+ )?{attack}\\b",
    "\\b(?:identified|recogni[sz]ed|caught|named|name) (?:\\w+ ){0,3}?{group}\\b",
    "\\b(?:it|this|that) (?:was|is) {group}\\b",
    "\\bwe saw {group}\\b", "\\bby {group}\\b",
    "\\b(?:intrusion set|cluster|activity|malware|tool) (?:was|is) (?:of )?{group}\\b",
    "\\bresponsib\\w+ (?:\\w+ ){0,3}(?:with|to|on) {group}\\b",
    NULL,
};
static const char *const one_name_but[] = {
    "{disclaim}", "\\bR9\\b", "\\b{hedge}\\b", "\\d ?(?:%|per cent|percent)", "0\\.\\d", "unknown",
    "confidence", "overlaps? with", "shares? .* with", "public(?:ly)? (?:report|source|known)",
    "according to", "reported by", "has been (?:reported|described|linked)",
    "(?:is|are|was) (?:also )?(?:known as|called|said|described)",
    "some sources",
    "sources? (?:say|merge|keep|treat|describe)",
    "ATT&CK", "names? for", "alias", "same as",
    NULL,
};

// ---- R10

static const char *const number_found[] = {
    "\\b{number} (?:\\S+ ){0,3}?(?:{attack}|detections|alerts)\\b",
    "\\b{number} (?:\\S+ ){0,3}?(?:clients?|customers|compan(?:y|ies)|firms?|organi[sz]ations|"
     "victims?|hosts|servers|machines|sectors|countries)\\b.{0,40}\\b(?:attacked|targeted|hit|"
     "compromised|breached|affected|hacked|infected|victims?)\\b",
    "\\b(?:attacked|targeted|hit|compromised|breached|affected|hacked|infected) {number} (?:\\S+ "
     "){0,3}?(?:clients?|customers|compan(?:y|ies)|firms?|organi[sz]ations|hosts|servers|machines|"
     "sectors|countries)\\b",
    "(?:{digits}|\\b(?:{numeral})) ?(?:%|per cent|percent) of (?:\\S+ ){0,3}?(?:{attack}|"
     "detections|alerts|clients?|compan(?:y|ies)|firms?|hosts|servers|organi[sz]ations)\\b",
    "\\b{attack} (?:numbered|totall?ed|amounted to|reached|stood at|count(?:ed)?(?: is| was)?|:) "
     "?(?:at least |about |some )?{digits}\\b",
    "\\b(?:averag\\w+|mean of|median of|up to|over|about|some|nearly|more than|at least) "
     "{number} (?:\\w+ )?(?:a|per) (?:day|week|month|hour|year)\\b",
    NULL,
};
static const char *const number_but[] = {
    "\\bR10\\b", "{disclaim}",
    "\\b(?:one of|which one|no one|one more|the one|one another)\\b(?!.*\\d)",
    "rate ratio.*interval", "interval.*rate ratio", "upper bound", "true rate",
    "\\bof the {number} (?:\\w+ )?{attack} (?:is|are|was|were) (?:listed|shown|described|given)",
    NULL,
};
static const char *const number_part_0[] = {
    "\\bbetween\\b.*\\band\\b",
    "\\bfrom\\b.*\\b(?:to|until|through|till)\\b",
    "{date}", "\\bin \\d{4}\\b",
    "\\b(?:over|within|during|in|for|of|under|first|last|past) (?:\\S+ ){0,3}?{span}\\b",
    "\\bQ[1-4]\\b", "{number}[- ]{span}\\b", "\\bsince\\b.*\\d", "\\buntil\\b.*\\d",
    NULL,
};
static const char *const number_part_1[] = {
    "count(?:ed|ing)? (?:rule|by|as|with|under)",
    "counting", "rule (?:v|version |of )?\\d", "definition",
    NULL,
};
static const char *const number_part_2[] = {
    "\\b(?:of|on|across|among|at|for|over|out of|from) (?:the |its |our |all |these "
     ")*(?:{number}) (?:\\S+ ){0,3}?(?:clients?|hosts?|servers?|sensors?|sensor-days|host-days|"
     "machines|systems|compan(?:y|ies)|firms?|organi[sz]ations|attempts|detections|attacks)",
    "monitored", "watched", "sensor-days", "host-days", "per (?:host|sensor|client|server)",
    "out of", "denominator",
    NULL,
};

const struct report_row report_rows[] = {
    {"R1", broken_found, broken_but,
     {{0}},
     "It says that a party broke an agreement, which what is seen on hosts cannot show: it "
     "shows neither who gave an order nor what the agreement's clauses cover.",
     "\"N attempts were recorded between DATE and DATE; whether any clause of the agreement "
     "applies to them is not claimed.\""},
    {"R1", kept_found, kept_but,
     {{0}},
     "It says that a party kept an agreement, which absence of attempts on the watched hosts "
     "cannot show any more than their presence shows the opposite.",
     "\"No attempt was recorded on N monitored hosts between DATE and DATE; what the parties "
     "did elsewhere is not known.\""},
    {"R2", few_found, few_but,
     {{0}},
     "A small group of clients by sector, alone or with a date, lets a reader find out who it "
     "is.",
     "\"Clients in at least two sectors\", with the sector cells withheld, or a supersector of "
     "five clients and more."},
    {"R2", named_found, named_but,
     {{0}},
     "It names a company, or describes one so that it can be recognised.",
     "\"A client\", without what singles it out; with the client's consent, recorded with the "
     "report, its name."},
    {"R2", internal_found, internal_but,
     {{0}},
     "An internal address, host name or mailbox belongs to somebody who can be recognised by it.",
     "\"An internal host of a client\"; indicators of the adversary stand in their own section."},
    {"R3", intent_found, intent_but,
     {{0}},
     "Intent is not seen on a host; it is assessed at best, and here it stands as a fact.",
     "\"What the intruders were after is unknown; these hypotheses were compared, and none is "
     "excluded.\""},
    {"R4", theft_found, theft_but,
     {{0}},
     "\"No theft\" can only be said of what was watched; beyond coverage nothing is known.",
     "\"On the N monitored hosts, within coverage, no read of protected data and no bytes sent "
     "by the attempts' lineages were recorded; the true share may be up to P %.\""},
    {"R5", sponsor_found, sponsor_but,
     {{0}},
     "It names a sponsor. Evidence on hosts leads to a cluster of activity or a named group; a "
     "sponsor is named by a person with reasons, never by a score.",
     "\"The activity is attributed to GROUP (PROBABILITY; unknown adversary PROBABILITY); who "
     "stands behind it is not claimed.\""},
    {"R6", change_found, change_but,
     {{"a rate ratio or the exposure (sensor-days)", change_part_0}, {"its interval", change_part_1}, {"the baseline", change_part_2}},
     "It says more, fewer or the same around an event without a baseline and exposure: more "
     "sensors or a busier month look alike.",
     "\"Rate ratio after/before R (95 % interval A to B), N1 attempts in D1 sensor-days against "
     "N2 in D2; a fall smaller than X could not have been seen.\""},
    {"R7", universal_found, universal_but,
     {{0}},
     "All, every, never, first ever: it goes beyond what was watched.",
     "\"At least N of the M recorded\", with the window and the coverage."},
    {"R8", both_found, both_but,
     {{0}},
     "A confidence and a likelihood in one sentence: a reader cannot tell what is uncertain, "
     "the event or the evidence for it.",
     "Two sentences: one with the likelihood word that the number gives, one with the "
     "confidence in the evidence and why."},
    {"R9", one_name_found, one_name_but,
     {{0}},
     "One name stands alone, without its probability and that of an adversary that is not known.",
     "\"Candidates: GROUP P %, unknown adversary Q %\"; where Q is within the margin of P: \"no "
     "group is named\"."},
    {"R10", number_found, number_but,
     {{"window", number_part_0}, {"counting rule", number_part_1}, {"denominator", number_part_2}},
     "A number without its window, counting rule and denominator cannot be compared with "
     "another.",
     "\"At least N attempts (counting rule NAME VERSION) between DATE and DATE on M monitored "
     "hosts of C clients.\""},
};
const size_t report_n_rows = sizeof report_rows / sizeof *report_rows;
// clang-format on
