// What tokenizer.ggml.pre names: the regular expressions that cut text before byte-level BPE, one after the other, and
// what else the name implies. The names are llama.cpp's; the expressions are those of the models' own tokenizer.json
// where llama.cpp has an approximation (its engine lacks some syntax).
#include "text/tokenizer_internal.h"

#include <string.h>

#define CONTRACTION "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define WORD "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define OTHERS " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define BLANKS "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"
#define LLAMA3 CONTRACTION "|" WORD "|\\p{N}{1,3}|" OTHERS "|" BLANKS
#define QWEN2 CONTRACTION "|" WORD "|\\p{N}|" OTHERS "|" BLANKS
#define LINES "[^\\n]+|[\\n]+"

// Words whose case changes at most once, upper to lower (o200k and its relatives); SUFFIX may follow a word.
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(suffix)                                                                                                  \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" suffix "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" suffix
#define O200K CASED(CONTRACTION "?") "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" BLANKS

// The words of DeepSeek V3 and its relatives: ASCII punctuation may start an ASCII word.
#define PUNCTUATED "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
#define DEEPSEEK3 PUNCTUATED "| ?[\\p{P}\\p{S}]+[\\r\\n]*|" BLANKS
#define CJK_KANA "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+"

#define DIGITS_FROM_RIGHT "\\p{Nd}{1,3}(?=(?:\\p{Nd}{3})*(?!\\p{Nd}))" // pretokenize.c counts instead

// The letters with case of deepseek-llm's tokenizer.json, and its punctuation and East Asian blocks.
#define DEEPSEEK_LETTERS                                                                                               \
    "\\x{41}-\\x{5a}\\x{61}-\\x{7a}\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}"             \
    "\\x{1c4}-\\x{293}\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}"             \
    "\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}"                    \
    "\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}"                    \
    "\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}"                  \
    "\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}"                   \
    "\\x{1f5d}\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-\\x{1fc4}"                   \
    "\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}\\x{1ff2}-\\x{1ff4}"                  \
    "\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}\\x{2124}"                    \
    "\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}"                             \
    "\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}"                             \
    "\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}"                   \
    "\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}"                  \
    "\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}"                                 \
    "\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}"                             \
    "\\x{1e900}-\\x{1e943}"
#define DEEPSEEK_PUNCTUATION "!-/:-~！-／：-～‘-‟\\x{3000}-。"
#define DEEPSEEK_EAST_ASIAN "[一-龥ࠀ-一가-\\x{d7ff}]+"

static const struct xn_gguf_pretokenizer table[] = {
    {"default", 0, {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {"llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
     XN_PRE_IGNORE_MERGES | XN_PRE_ADD_BOS,
     {LLAMA3}},
    {"minicpm5", XN_PRE_IGNORE_MERGES, {"\\p{N}{1,3}", CONTRACTION "|" WORD "|\\p{N}+|" OTHERS "|" BLANKS}},
    {"deepseek-llm",
     0,
     {"[\\r\\n]", "\\s?[" DEEPSEEK_LETTERS "]+", "\\s?[" DEEPSEEK_PUNCTUATION "]+", "\\s+$", DEEPSEEK_EAST_ASIAN,
      "\\p{N}+"}},
    {"deepseek-coder", 0, {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", DEEPSEEK_EAST_ASIAN, "\\p{N}"}},
    {"deepseek-v3 hunyuan-dense joyai-llm hy_v4", 0, {"\\p{N}{1,3}", CJK_KANA, DEEPSEEK3}},
    {"spark2_5", 0, {"\\p{N}{1,3}", CJK_KANA, PUNCTUATED "| ?[\\p{P}\\p{S}]+|[\\r\\n]|\\s+(?!\\S)|\\s+", "\\p{N}"}},
    {"youtu",
     XN_PRE_IGNORE_MERGES,
     {"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" CJK_KANA,
      CASED(CONTRACTION "?") "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" BLANKS}},
    {"falcon", 0, {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"}},
    {"starcoder refact command-r smollm codeshell exaone minerva-7b mellum2", 0, {"\\p{N}", GPT2}},
    {"gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert mpt olmo jais trillion "
     "granite-docling exaone4 jina-v1-en jina-v2-code roberta-bpe",
     0,
     {GPT2}},
    {"jais-2",
     0,
     {CONTRACTION "|" WORD "|\\p{N}{1,3}|" OTHERS
                  "|\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)"
                  "|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}"}},
    {"dbrx smaug-bpe", 0, {LLAMA3}},
    {"chatglm-bpe glm4", XN_PRE_NO_BOS, {LLAMA3}},
    {"gemma4 granite-embed-multi-311m", XN_PRE_SPACES | XN_PRE_CHARACTERS | XN_PRE_ADD_BOS, {LINES}},
    {"sarvam-moe", XN_PRE_SPACES | XN_PRE_CHARACTERS, {LINES}},
    {"whitespace", XN_PRE_CHARACTERS | XN_PRE_WHITESPACE, {NULL}},
    {"qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2", 0, {QWEN2}},
    {"qwen35",
     0,
     {CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" BLANKS}},
    {"ufakzeka", 0, {WORD "|\\p{N}|" OTHERS "|" BLANKS}},
    {"poro-chat bloom gpt3-finnish", 0, {" ?[^(\\s|.,!?…。，、।۔،)]+"}},
    {"viking", 0, {" ?[^(\\s|.,!?…。，、।۔،)]+", "\\p{N}"}},
    {"tekken", XN_PRE_IGNORE_MERGES | XN_PRE_ADD_BOS, {CASED("") "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" BLANKS}},
    {"chameleon",
     XN_PRE_ADD_BOS,
     {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", "\\p{N}",
      "[\\p{P}!-/:-@\\[-`{-~]", GPT2}},
    {"gpt-4o llama4 kanana2 talkie minimax-m2", 0, {O200K}},
    {"granite-embed-multi-97m", XN_PRE_IGNORE_MERGES, {O200K}},
    {"tiny_aya cohere2moe", 0, {"\\d{1,3}(?=(?:\\d{3})*\\b)", O200K}},
    {"kimi-k2",
     0,
     {"\\p{Han}+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&"
      "[^\\p{Han}]]+" CONTRACTION "?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+"
      "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*" CONTRACTION "?|\\p{N}{1,3}|" OTHERS "|" BLANKS}},
    {"superbpe", 0, {"\\p{N}+", "(?=(\\d{3})+(?!\\d))"}},
    {"bailingmoe bailingmoe2 llada-moe",
     0,
     {"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|" WORD "|\\p{N}|" OTHERS "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}},
    {"seed-coder", 0, {CONTRACTION "|" WORD "|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" BLANKS}},
    {"afmoe",
     0,
     {DIGITS_FROM_RIGHT,
      "[一-鿿㐀-䶿\\x{f900}-\\x{faff}぀-ゟ゠-ヿ･-ﾟ⼀-⿟\\x{e00}-\\x{e7f}\\x{e80}-\\x{eff}\\x{1780}-\\x{"
      "17ff}"
      "\\x{1000}-\\x{109f}\\x{aa60}-\\x{aa7f}\\x{a9e0}-\\x{a9ff}가-\\x{d7af}\\x{1100}-\\x{11ff}]+",
      DEEPSEEK3}},
    {"laguna", 0, {LINES, QWEN2}},
    {"exaone-moe",
     0,
     {CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?"
                  "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}},
};

const struct xn_gguf_pretokenizer *xn_gguf_pretokenizer_at(size_t i) {
    return i < sizeof table / sizeof *table ? &table[i] : NULL;
}

const struct xn_gguf_pretokenizer *xn_gguf_pretokenizer(const char *name, size_t size) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (const char *at = table[i].name; *at;) {
            size_t length = strcspn(at, " ");
            if (length == size && memcmp(at, name, size) == 0) return &table[i];
            at += length;
            at += strspn(at, " ");
        }
    return NULL;
}
