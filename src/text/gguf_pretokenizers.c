// What tokenizer.ggml.pre names: the regular expressions that cut text before byte-level BPE, one after the other, and what else
// the name implies. The names are llama.cpp's; the expressions are those of the models' own tokenizer.json where llama.cpp has an
// approximation (its engine lacks some syntax).
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
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼ" \
    "ℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
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
     {"[\\r\\n]", "\\s?[" DEEPSEEK_LETTERS "]+", "\\s?[" DEEPSEEK_PUNCTUATION "]+", "\\s+$", DEEPSEEK_EAST_ASIAN, "\\p{N}+"}},
    {"deepseek-coder", 0, {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", DEEPSEEK_EAST_ASIAN, "\\p{N}"}},
    {"deepseek-v3 hunyuan-dense joyai-llm hy_v4", 0, {"\\p{N}{1,3}", CJK_KANA, DEEPSEEK3}},
    {"spark2_5",
     0,
     {"\\p{N}{1,3}", CJK_KANA, PUNCTUATED "| ?[\\p{P}\\p{S}]+|[\\r\\n]|\\s+(?!\\S)|\\s+", "\\p{N}"}},
    {"youtu",
     XN_PRE_IGNORE_MERGES,
     {"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" CJK_KANA,
      CASED(CONTRACTION "?") "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" BLANKS}},
    {"falcon", 0, {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"}},
    {"starcoder refact command-r smollm codeshell exaone minerva-7b mellum2", 0, {"\\p{N}", GPT2}},
    {"gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert mpt olmo jais trillion "
     "granite-docling exaone4",
     0,
     {GPT2}},
    {"jina-v1-en jina-v2-code roberta-bpe", XN_PRE_ADD_SEP, {GPT2}},
    {"jais-2",
     0,
     {CONTRACTION "|" WORD "|\\p{N}{1,3}|" OTHERS "|\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)"
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
     {"\\p{Han}+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+"
      CONTRACTION "?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+"
      "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*" CONTRACTION "?|\\p{N}{1,3}|" OTHERS "|" BLANKS}},
    {"superbpe", 0, {"\\p{N}+", "(?=(\\d{3})+(?!\\d))"}},
    {"bailingmoe bailingmoe2 llada-moe",
     0,
     {"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|" WORD "|\\p{N}|" OTHERS "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}},
    {"seed-coder", 0, {CONTRACTION "|" WORD "|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" BLANKS}},
    {"afmoe",
     0,
     {DIGITS_FROM_RIGHT, "[一-鿿㐀-䶿\\x{f900}-\\x{faff}぀-ゟ゠-ヿ･-ﾟ⼀-⿟\\x{e00}-\\x{e7f}\\x{e80}-\\x{eff}\\x{1780}-\\x{17ff}"
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
