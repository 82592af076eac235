/* Names of snapshots. Each is a reference LINE@DATE, so that the references of one line stand
 * together in the order of time, and "the newest not after" is the last one that is not greater. */
#include "store__.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

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

/* The day before this one, by the same clock as the names of snapshots: UTC. */
static void yesterday(const struct store *s, char out[16])
{
    enum { DAY_S = 86400 };
    time_t t = (time_t)(s->env.wall_ns(s->env.ctx) / 1000000000u) - DAY_S;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, 16, "%Y-%m-%d", &tm);
}

cg_err store_ref_find(const struct store *s, const char *word, struct store_refinfo *out)
{
    size_t len = store_line_len(word);
    const char *date = word[len] ? word + len + 1 : "";
    char day[16];
    if (store_ref_get(s, word, out) == CG_OK) {
        return CG_OK;
    }
    yesterday(s, day);
    cg_err e = newest_until(s, word, len, strcmp(date, "yesterday") == 0 ? day : date, out);
    date = strcmp(word, "yesterday") == 0 ? day : word;
    return e && is_date(date) ? newest_until(s, NULL, 0, date, out) : e;
}
