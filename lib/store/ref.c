/* Names of snapshots. Each is a reference LINE@DATE, so that the references of one line stand
 * together in the order of time, and "the newest not after" is the last one that is not greater. */
#include <cognu/store.h>

#include <string.h>

size_t store_line_len(const char *ref)
{
    const char *at = strrchr(ref, '@');
    return at ? (size_t)(at - ref) : strlen(ref);
}

/* line NULL: of all lines. date: the newest not after it; "" asks for none. */
static cg_err newest_until(const struct store *s, const char *line, size_t len, const char *date,
                           struct store_refinfo *out)
{
    bool found = false;
    for (uint32_t i = 0; i < store_ref_count(s); i++) {
        struct store_refinfo r;
        store_ref_at(s, i, &r);
        size_t own = store_line_len(r.name);
        if (line && (own != len || strncmp(r.name, line, len) != 0)) {
            continue;
        }
        const char *when = r.name[own] ? r.name + own + 1 : "";
        bool early = !*date || strncmp(when, date, strlen(date)) <= 0;
        if (early && (line || *when) && (!found || r.time_ns >= out->time_ns)) {
            *out = r;
            found = true;
        }
    }
    return found ? CG_OK : CG_ENOENT;
}

/* Four digits, and then nothing but what a date has. */
static bool is_date(const char *word)
{
    return strspn(word, "0123456789") >= 4 && word[strspn(word, "0123456789-:TZ")] == '\0';
}

cg_err store_ref_find(const struct store *s, const char *word, struct store_refinfo *out)
{
    size_t len = store_line_len(word);
    if (store_ref_get(s, word, out) == CG_OK) {
        return CG_OK;
    }
    cg_err e = newest_until(s, word, len, word[len] ? word + len + 1 : "", out);
    return e && is_date(word) ? newest_until(s, NULL, 0, word, out) : e;
}
