/* What the test of the debugger looks into. Its functions are not inlined and keep their frame
 * pointers. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

volatile long counter = 1, limit = 1L << 40;
int leaf(int n);
int middle(int n);

int leaf(int n)
{
    counter += n;
    return (int)counter;
}

int middle(int n)
{
    return leaf(n + 1) + 1;
}

int main(void)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    alarm(60); /* should nobody end it */
    while (counter < limit) {
        middle(1);
        nanosleep(&pause, NULL);
    }
    printf("the end at %ld\n", counter);
    return 0;
}
