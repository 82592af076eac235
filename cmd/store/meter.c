/* Progress: one line on a terminal with bytes, files, rate and time left; nothing when standard
 * error is no terminal; an object a second with --json. */
#include "verbs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint64_t clock_ns(void)
{
    return cg_env_real.now_ns(NULL);
}

static bool wanted(void)
{
    static int terminal = -1;
    if (terminal < 0) {
        terminal = isatty(STDERR_FILENO);
    }
    return !opt.quiet && (opt.json || terminal);
}

void size_text(uint64_t bytes, char out[16])
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    double v = (double)bytes;
    size_t u = 0;
    while (v >= 999.5 && u + 1 < CG_COUNT(units)) {
        v /= 1000;
        u++;
    }
    snprintf(out, 16, u && v < 10 ? "%.1f %s" : "%.0f %s", v, units[u]);
}

void json_string(const char *text, size_t len)
{
    putchar('"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') {
            putchar('\\');
            putchar(c);
        } else if (c < ' ' || c == 0x7f) {
            printf("\\u%04x", c);
        } else {
            putchar(c);
        }
    }
    putchar('"');
}

static void count_text(const struct meter *m, uint64_t n, char out[24])
{
    if (m->things) {
        snprintf(out, 24, "%llu", (unsigned long long)n);
    } else {
        size_text(n, out);
    }
}

static void show(struct meter *m, uint64_t now)
{
    double seconds = (double)(now - m->began_ns) / 1e9;
    double rate = seconds > 0 ? (double)m->done / seconds : 0;
    double left = rate > 0 && m->total > m->done ? (double)(m->total - m->done) / rate : 0;
    if (opt.json) {
        fprintf(stderr,
                "{\"phase\":\"%s\",\"%s\":%llu,\"total\":%llu,\"files\":%llu,\"rate\":%.0f,"
                "\"left_s\":%.0f}\n",
                m->phase, m->things ? "done" : "bytes", (unsigned long long)m->done,
                (unsigned long long)m->total, (unsigned long long)m->files, rate, left);
        return;
    }
    char done[24], total[24], speed[24];
    count_text(m, m->done, done);
    count_text(m, m->total, total);
    count_text(m, (uint64_t)rate, speed);
    fprintf(stderr, "\r\x1b[K%s: %s", m->phase, done);
    if (m->total) {
        fprintf(stderr, " of %s", total);
    }
    if (m->files) {
        fprintf(stderr, ", %llu files", (unsigned long long)m->files);
    }
    fprintf(stderr, ", %s/s", speed);
    if (left > 0) {
        fprintf(stderr, ", %.0f s left", left);
    }
    fflush(stderr);
    m->shown = true;
}

void meter_begin(struct meter *m, const char *phase, uint64_t total)
{
    *m = (struct meter){.phase = phase, .total = total, .began_ns = clock_ns()};
    m->told_ns = m->began_ns;
}

void meter_add(struct meter *m, uint64_t bytes, uint64_t files)
{
    enum { TERMINAL_NS = 100 * 1000 * 1000, JSON_NS = 1000 * 1000 * 1000 };
    m->done += bytes;
    m->files += files;
    if (!wanted()) {
        return;
    }
    uint64_t now = clock_ns();
    if (now - m->told_ns >= (opt.json ? JSON_NS : TERMINAL_NS)) {
        m->told_ns = now;
        show(m, now);
    }
}

void meter_end(struct meter *m)
{
    if (m->shown) {
        fputs("\r\x1b[K", stderr);
        fflush(stderr);
    }
    m->shown = false;
}

static struct meter of_library;

static void library_tells(void *aux, const char *phase, uint64_t done, uint64_t total)
{
    (void)aux;
    if (!of_library.phase || strcmp(of_library.phase, phase) != 0) {
        verb_progress_end();
        meter_begin(&of_library, phase, total);
        of_library.things = total != 0; /* packs, objects; what has no end is counted in bytes */
    }
    of_library.total = total;
    meter_add(&of_library, done > of_library.done ? done - of_library.done : 0, 0);
}

const struct store_progress verb_progress = {.tell = library_tells};

void verb_progress_end(void)
{
    meter_end(&of_library);
    of_library.phase = NULL;
}
