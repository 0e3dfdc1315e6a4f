"""python main.py --model=gan --logdir=runs/first; `python main.py --help` shows all."""

from tfgan_papers.cli import run

if __name__ == "__main__":
    run()
