/* The error table in use: lookups by code, and the detail text that travels beside an error. */
#include <cognu/base.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct error_row {
    cg_err code;
    int posix;
    const char *name, *text, *meaning;
};

static const struct error_row rows[] = {
    {CG_OK, 0, "OK", "no error", "done"},
#define CG_ERROR(name, code, errno_name, text, meaning) {code, errno_name, #name, text, meaning},
#include <cognu/errors.def>
};

static const struct error_row *row_of(cg_err e)
{
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        if (rows[i].code == e) {
            return &rows[i];
        }
    }
    return NULL;
}

_Noreturn void cg_assert_fail(const char *cond, const char *file, int line, const char *func)
{
    fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, func, cond);
    abort();
}

const char *cg_err_name(cg_err e)
{
    const struct error_row *row = row_of(e);
    return row ? row->name : "UNLISTED";
}

const char *cg_err_text(cg_err e)
{
    const struct error_row *row = row_of(e);
    return row ? row->text : "unlisted error";
}

const char *cg_err_meaning(cg_err e)
{
    const struct error_row *row = row_of(e);
    return row ? row->meaning : "an error that this version does not know";
}

int cg_err_errno(cg_err e)
{
    enum { LINUX_ERRNO_MAX = 133 };
    const struct error_row *row = row_of(e);
    if (row) {
        return row->posix;
    }
    return e <= LINUX_ERRNO_MAX ? (int)e : EIO;
}

cg_err cg_err_from_errno(int err)
{
    cg_assert(err > 0);
    return (cg_err)err;
}

cg_err cg_fail(struct cg_errbuf *eb, cg_err e, const char *fmt, ...)
{
    cg_assert(e != CG_OK);
    if (eb) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(eb->text, sizeof eb->text, fmt, ap);
        va_end(ap);
    }
    return e;
}

cg_err cg_context(struct cg_errbuf *eb, cg_err e, const char *fmt, ...)
{
    if (!eb || e == CG_OK) {
        return e;
    }
    char before[CG_DETAIL_BYTES], after[CG_DETAIL_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(before, sizeof before, fmt, ap);
    va_end(ap);
    snprintf(after, sizeof after, "%s", eb->text[0] ? eb->text : cg_err_meaning(e));
    size_t at = strnlen(before, sizeof eb->text - 1);
    memcpy(eb->text, before, at);
    snprintf(eb->text + at, sizeof eb->text - at, ": %s", after);
    return e;
}
