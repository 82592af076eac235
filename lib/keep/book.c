/* keep_book: a book in init's hands. */
#include <cognu/book.h>
#include <cognu/keep.h>

static cg_err open_book(struct keep *k, const char *name, const struct book_config *config,
                        struct book **out, struct cg_errbuf *eb)
{
    struct book_config c = *config;
    cg_err e = keep_memory(k, name, c.bytes, &c.fd, eb);
    return e == CG_OK ? book_new(&c, out, eb) : e;
}

cg_err keep_book(struct keep *k, const char *name, const struct book_config *config, bool anew,
                 struct book **out, struct cg_errbuf *eb)
{
    cg_err e = anew ? CG_EBADFORMAT : open_book(k, name, config, out, eb);
    if (e != CG_EBADFORMAT) {
        return e;
    }
    cg_log(CG_ERROR_LEVEL, "what was kept is lost, %s begins anew: %s", config->kind, eb->text);
    e = keep_drop(k, name, eb);
    return e == CG_OK ? open_book(k, name, config, out, eb) : e;
}
