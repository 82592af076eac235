/* Feeds text to the parsers of procfs and of signals' names. */
#include <cognu/synth.h>
#include <cognu/synth_host.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = cg_strndup((const char *)data, size);
    struct synth_host_process p = {0};
    uint64_t pid;
    if (text) {
        int signo = synth_note_number(text);
        cg_assert(signo >= 0 && signo <= 64);
        synth_host_is_pid(text, &pid);
        cg_assert(!synth_host_parse(text, &p) || strlen(p.name) < sizeof p.name);
    }
    cg_free(text);
    return 0;
}
