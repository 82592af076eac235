/* script: the lines of a namespace text, executed one after the other. */
#include <cognu/ns.h>

#include <string.h>

struct ns_script {
    struct ns *ns;
    char *text, *at;
    const char *line; /* under way */
    bool keep_going, stepping, stop;
    struct cg_str report;
    cg_err first;
    ns_script_done *done;
    void *aux;
    struct ns_op *op;
};

static bool step(struct ns_script *s);

static void end(struct ns_script *s)
{
    s->done(s->aux, s->first, s->report.data ? s->report.data : "");
    cg_str_fini(&s->report);
    cg_free(s->text);
    cg_free(s);
}

static void on_line(void *aux, cg_err e, const char *detail)
{
    struct ns_script *s = aux;
    s->op = NULL;
    if (e != CG_OK) {
        s->first = s->first ? s->first : e;
        s->stop = s->stop || !s->keep_going || e == CG_ECANCELED; /* or the namespace ends */
        cg_str_addf(&s->report, "%s: %s\n", s->line,
                    detail && detail[0] ? detail : cg_err_meaning(e));
    }
    if (!s->stepping) {
        step(s);
    }
}

/* The next line that says something, or NULL. */
static const char *next_line(struct ns_script *s)
{
    while (s->at && *s->at) {
        char *line = s->at, *nl = strchr(line, '\n');
        if (nl) {
            *nl = 0;
        }
        s->at = nl ? nl + 1 : NULL;
        line += strspn(line, " \t\r");
        if (*line && *line != '#') {
            return line;
        }
    }
    return NULL;
}

/* True: s has ended and is gone. */
static bool step(struct ns_script *s)
{
    s->stepping = true;
    while (!s->stop && (s->line = next_line(s))) {
        struct ns_op *op = ns_ctl(s->ns, s->line, on_line, s);
        if (op) {
            s->op = op;
            s->stepping = false;
            return false;
        }
    }
    end(s);
    return true;
}

struct ns_script *ns_script_run(struct ns *ns, const char *text, bool keep_going,
                                ns_script_done *done, void *aux)
{
    struct ns_script *s = cg_zalloc(sizeof(*s));
    char *copy = s ? cg_strdup(text) : NULL;
    if (!copy) {
        cg_free(s);
        done(aux, CG_ENOMEM, "no memory for a namespace text\n");
        return NULL;
    }
    *s = (struct ns_script){.ns = ns, .text = copy, .at = copy, .done = done, .aux = aux};
    s->keep_going = keep_going;
    return step(s) ? NULL : s;
}

void ns_script_cancel(struct ns_script *s)
{
    s->stop = true;
    if (s->op) {
        ns_cancel(s->ns, s->op);
    }
}
