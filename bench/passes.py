"""Count what compiled programs do: `python bench/passes.py [--cells TEXT...]`, see checks/passes.py."""

from checks.passes import main

if __name__ == "__main__":
    main()
