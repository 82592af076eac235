/* Names of signals. Those of Plan 9 and of job control stand in the table; the rest are the host's
 * short names, so that a command of another system means the same signal whatever its number there.
 */
#include <cognu/synth.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    int signo;
} notes[] = {{"interrupt", SIGINT}, {"hangup", SIGHUP}, {"alarm", SIGALRM},
             {"stop", SIGSTOP},     {"start", SIGCONT}, {"suspend", SIGTSTP}};

int synth_note_number(const char *word)
{
    for (size_t i = 0; i < CG_COUNT(notes); i++) {
        if (strcmp(word, notes[i].name) == 0) {
            return notes[i].signo;
        }
    }
    for (int signo = 1; signo < SIGRTMIN; signo++) {
        const char *name = sigabbrev_np(signo);
        if (name && strcasecmp(word, name) == 0) {
            return signo;
        }
    }
    char *end;
    long n = strtol(word, &end, 10);
    return word[0] >= '1' && word[0] <= '9' && !*end && n <= SIGRTMAX ? (int)n : 0;
}
