/* An ordinary Linux program: nothing in it knows of Cognu. Compiled and linked statically, by gcc
 * with glibc and by musl-gcc, it is what `make native` runs. */
#include <stdio.h>

int main(int argc, char **argv)
{
    printf("hello from %s: %d argument%s, and %.3f\n", argv[0], argc, argc == 1 ? "" : "s",
           22 / 7.0);
    return 0;
}
