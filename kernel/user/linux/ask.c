/* An ordinary Linux program that reads its input. */
#include <stdio.h>
#include <string.h>

int main(void)
{
    char name[64];
    printf("What is your name?\n");
    if (!fgets(name, sizeof(name), stdin)) {
        return 1;
    }
    name[strcspn(name, "\n")] = 0;
    printf("Good day, %s.\n", name);
    return 0;
}
