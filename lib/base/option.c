/* option: takes a program's own options out of its arguments; the rest is for a common main. */
#include <cognu/base.h>

#include <string.h>

bool cg_options_take(int *argc, char **argv, const struct cg_option *options, size_t count)
{
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        size_t o = 0;
        while (o < count && strcmp(argv[i], options[o].name) != 0) {
            o++;
        }
        if (o == count) {
            argv[kept++] = argv[i];
        } else if (++i < *argc) {
            *options[o].value = argv[i];
        } else {
            return false;
        }
    }
    argv[kept] = NULL;
    *argc = kept;
    return true;
}
