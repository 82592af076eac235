/* The log: one line an event on standard error, which init reads. A line is written by one
 * write(2), so lines of several processes do not mix. Text from outside may hold control
 * characters: they are shown as \xHH. */
#include <cognu/base.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 1024 }; /* longer lines are cut: a log line is a sentence */

static const char *component_name = "cognu";
static enum cg_level level_max = CG_INFO;
static const char *const level_names[] = {"error", "warn", "info", "debug"};

void cg_log_init(const char *component)
{
    component_name = component;
    const char *wanted = getenv("COGNU_LOG");
    for (size_t i = 0; wanted && i < CG_COUNT(level_names); i++) {
        if (strcmp(wanted, level_names[i]) == 0) {
            level_max = (enum cg_level)i;
        }
    }
}

static size_t escape(const char *text, char *out, size_t cap)
{
    size_t n = 0;
    for (; *text && n + 5 < cap; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= ' ' && c != 0x7f) {
            out[n++] = (char)c;
        } else {
            n += (size_t)snprintf(out + n, cap - n, "\\x%02x", c);
        }
    }
    return n;
}

void cg_log(enum cg_level level, const char *fmt, ...)
{
    if (level > level_max) {
        return;
    }
    char text[LINE_BYTES_MAX], line[LINE_BYTES_MAX * 2];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);

    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ %s %s: ", now.tv_nsec / 1000000,
                          level_names[level], component_name);
    n += escape(text, line + n, sizeof line - n - 1);
    line[n++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written; /* a log that cannot be written has nowhere to say so */
}
