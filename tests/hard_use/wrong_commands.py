"""Wrong command lines, as a table. Every line ends with status 2 and one line on standard error.

Words in braces are files of the example folder: {model} a U-Net, {codes} a MaskGIT, {vqgan},
{samples} finished samples, {law} a law, {new} a name that is free. {path} is each of `PATHS`.
"""

PATHS = (
    "''",
    "absent",
    "absent/deeper.npz",
    "folder",
    "empty",
    "text.txt",
    "link-to-itself",
    "pipe",
    "zeros",
    "{samples}",
    "x" * 300,
)
"""What people name instead of the file that is read. Most of it exists."""

READS = """
full_scale.sample {path} --steps 2 --out {new}
full_scale.sample {model} --steps 2 --out {new} --teacher {path} --teacher-steps 1
full_scale.sample {codes} --steps 2 --out {new} --vqgan {path}
full_scale.evaluate {path} --results {new}
full_scale.evaluate {samples} --results {new} --features pixels --reference {path}
full_scale.evaluate {samples} --results {new} --features pixels --reference digits --vqgan {path}
full_scale.prepare imagenet --out {new} --source {path} --vqgan {vqgan}
full_scale.prepare imagenet --out {new} --source {pictures} --vqgan {path}
full_scale.convert tauldr {path} {new}.safetensors
full_scale.convert maskgit {path} {new}.safetensors
full_scale.train digits --out {new} --teacher {path}
full_scale.train digits --out {new} --student {path}
full_scale.train imagenet --out {new} --teacher {codes} --data.folder {path}
full_scale.miniature digits --quick --out {new} --teacher {path}
theory.certified --check {path}
toys/leaderboard.py --cache {new} --task pair --method teacher --law {path}
toys/leaderboard.py --cache {new} --task pair --method teacher --finished {path}
"""
"""One line for each option that names something to read."""

WRITES = """
full_scale.evaluate {samples} --features pixels --reference digits --results {bad}
full_scale.convert tauldr {model} {bad}
full_scale.miniature digits --quick --out {new} --csv {bad}
full_scale.miniature digits --quick --out {new} --json {bad}
theory --only lemma1 --json {bad}
theory.certified --json {bad}
toys/ablation.py --json {bad}
toys/components.py --json {bad}
toys/components.py --figure {bad}
toys/figure1_laws.py --json {bad}
toys/latent_batch.py --json {bad}
toys/leaderboard.py --json {bad}
toys/leaderboard.py --csv {bad}
toys/theorem2_training.py --json {bad}
toys/two_dim_tv.py --json {bad}
"""
"""One line for each option that names something to write. {bad} is each of `UNWRITABLE`."""

UNWRITABLE = ("text.txt/x", "folder/", "x" * 300)
"""A file below a file, a folder, a name that is too long."""

VALUES = """
full_scale.sample
full_scale.sample {model} --out {new}
full_scale.sample {model} --steps 0 --out {new}
full_scale.sample {model} --steps -1 --out {new}
full_scale.sample {model} --steps 1.5 --out {new}
full_scale.sample {model} --steps nan --out {new}
full_scale.sample {model} --steps 10000000 --out {new}
full_scale.sample {codes} --steps 10000000 --out {new}
full_scale.sample {model} --steps 2 --out {new} --seed -1
full_scale.sample {model} --steps 2 --out {new} --seed 18446744073709551616
full_scale.sample {model} --steps 2 --out {new} --seed 0.5
full_scale.sample {model} --steps 2 --out {new} --num-samples 0
full_scale.sample {model} --steps 2 --out {new} --teacher-steps -1
full_scale.sample {model} --steps 2 --out {new} --batch 0
full_scale.sample {model} --steps 2 --out {new} --show 0
full_scale.sample {model} --steps 2 --out {new} --guidance 1
full_scale.sample {codes} --steps 2 --out {new} --guidance nan
full_scale.sample {codes} --steps 2 --out {new} --guidance inf
full_scale.sample {codes} --steps 2 --out {new} --temperature -1
full_scale.sample {codes} --steps 2 --out {new} --temperature nan
full_scale.sample {codes} --steps 2 --out {new} --label 99
full_scale.sample {codes} --steps 2 --out {new} --label -1
full_scale.sample {model} --steps 2 --out {new} --label 0
full_scale.sample {model} --steps 2 --out {new} --sampler confidence
full_scale.sample {model} --steps 2 --out {new} --sampler x
full_scale.sample {model} --steps 2 --out {new} --redraw x
full_scale.sample {model} --steps 2 --out {new} --teacher-steps 1
full_scale.sample {model} --steps 2 --out {new} --teacher {model}
full_scale.sample {model} --steps 2 --out {new} --teacher {model} --teacher-steps 3
full_scale.sample {model} --steps 2 --out {new} --teacher {codes} --teacher-steps 1
full_scale.sample {model} --steps 2 --out {new} --device banana
full_scale.sample {model} --steps 2 --out {new} --device mps
full_scale.sample {model} --steps 2 --out {new} --device meta
full_scale.sample {model} --steps 2 --out {new} --device cuda:99
full_scale.sample {model} --steps 2 --out {samples}
full_scale.sample {model} --steps 2 --out text.txt
full_scale.sample {vqgan} --steps 2 --out {new}
full_scale.evaluate
full_scale.evaluate {samples} --results {new} --metrics perplexity
full_scale.evaluate {samples} --results {new} --metrics x
full_scale.evaluate {samples} --results {new} --features x
full_scale.evaluate {samples} --results {new} --features pixels
full_scale.evaluate {samples} --results {new} --features pixels --reference digits --level 0
full_scale.evaluate {samples} --results {new} --features pixels --reference digits --level nan
full_scale.evaluate {samples} --results {new} --features pixels --reference digits --replicates 1
full_scale.evaluate {samples} --results {new} --features pixels --reference digits --batch 0
full_scale.evaluate {samples} --results {new} --features pixels --reference digits --seed -1
full_scale.evaluate {samples} --results {new} --features pixels --reference digits --device cuda:99
full_scale.evaluate {samples} --results {new} --features pixels --reference digits --device banana
full_scale.evaluate {samples} --results {new} --save-reference x.txt
full_scale.evaluate {samples} --results {new} --mauve-seeds 0
full_scale.prepare
full_scale.prepare digits
full_scale.prepare imagenet
full_scale.prepare imagenet --source {pictures} --vqgan {model} --out {new}
full_scale.prepare imagenet --source {pictures} --vqgan {vqgan} --out {new} --batch 0
full_scale.prepare cifar10 --device banana
full_scale.prepare cifar10 --device cuda:99
full_scale.prepare cifar10 --device mps
full_scale.prepare cifar10 --split validation
full_scale.convert
full_scale.convert x {model} {new}.safetensors
full_scale.convert tauldr {model} {new}.pt
full_scale.convert tauldr {model} {model}
full_scale.convert tauldr {model} {new}.safetensors --ema --raw
full_scale.convert tauldr {model} {new}.safetensors --set x
full_scale.convert tauldr {model} {new}.safetensors --set x=1
full_scale.convert tauldr hf://x {new}.safetensors
full_scale.train
full_scale.train x
full_scale.train digits --out {new} --steps 0
full_scale.train digits --out {new} --steps x
full_scale.train digits --out {new} --seed -1
full_scale.train digits --out {new} --seed 18446744073709551616
full_scale.train digits --out {new} --batch-size 3 --micro-batch 2
full_scale.train digits --out {new} --device cuda
full_scale.train digits --out {new} --device banana
full_scale.train digits --out {new} --recipe x
full_scale.train digits --out {new} --preset x
full_scale.train digits --out {new} --data.name x
full_scale.train digits --out {new} --data.share 2
full_scale.train digits --out {new} --data.share nan
full_scale.train digits --out {new} --dropout 2
full_scale.train digits --out {new} --dropout nan
full_scale.train digits --out {new} --optimizer.clip nan
full_scale.train digits --out {new} --optimizer.clip -1
full_scale.train digits --out {new} --label-dropout 1
full_scale.train digits --out {new} --dropout nan
full_scale.train digits --out {new} --latent-gain inf
full_scale.train digits --out {new} --optimizer.learning-rate 1e300
full_scale.train digits --out {new} --optimizer.learning-rate nan
full_scale.train digits --out {new} --optimizer.learning-rate -1
full_scale.train digits --out {new} --optimizer.weight-decay 1e300
full_scale.train digits --out {new} --optimizer.betas 0.9 nan
full_scale.train digits --out {new} --optimizer.betas 0.9 1
full_scale.train digits --out {new} --optimizer.ema-decay nan
full_scale.train digits --out {new} --optimizer.of-batch 0 --optimizer.scale-rate
full_scale.train digits --out {new} --optimizer.of-batch -4 --optimizer.scale-rate
full_scale.train digits --out {new} --data.generated 99999999999999999999
full_scale.train digits --out {new} --data.generated 1000000000000
full_scale.train digits --out {new} --num-latents 99999999999999999999
full_scale.train digits --out {new} --steps 99999999999999999999
full_scale.train words --out folder-with-files
full_scale.train words --out text.txt
full_scale.train digits --out {new} --num-latents 0
full_scale.train digits --out {new} --reports.log-every 0
full_scale.train digits --out {new} --reference-steps -1
full_scale.train digits --out {samples}
full_scale.train digits --out folder-with-files
full_scale.prepare openwebtext --out {new} --length 0
full_scale.prepare openwebtext --out {new} --held-out 0
full_scale.sample {model} --steps 2 --out {new} --device mkldnn
full_scale.miniature
full_scale.miniature x
full_scale.miniature digits --recipes x --out {new}
full_scale.miniature digits --seeds 0 --out {new}
full_scale.miniature digits --seed -1 --out {new}
full_scale.miniature digits --data-share 0 --out {new}
full_scale.miniature digits --data-share nan --out {new}
full_scale.miniature digits --add --out {new}
full_scale.miniature digits --add --json {new} --out {new}
full_scale.miniature digits --teacher-calls 0 --out {new}
full_scale.miniature digits --ship --out {new}
full_scale.miniature digits --device cuda --out {new}
full_scale.bench
full_scale.bench x
full_scale.bench loss --device banana
full_scale.bench latency --device cuda:99
full_scale.bench train --seed -1
full_scale.bench train --threads 0
full_scale.bench loss --states -1
full_scale.bench latency --rounds x
full_scale.bench own --length 0
docs.tables x
docs.tables --x
theory --only no-such-claim
theory.certified --check absent --json {new}
theory.certified --check /proc/self/mem
theory.certified --check absent --steps 0
theory --seed x
figures --only x
figures --quick --only theorem1 --out text.txt/x
figures --results ''
figures --results absent
figures --results link-to-itself
figures --results pipe
figures --results text.txt
theory --only ''
reporting --results ''
reporting --results absent
reporting --results folder
reporting --results text.txt
reporting --results link-to-itself
reporting --results pipe
reporting --results zeros
reporting.reproduce --x
reporting.reproduce --out ''
toys/ablation.py --seeds 0
toys/ablation.py --seed -1
toys/components.py --seed -1
toys/digit_patches.py --seed -1
toys/engine_speed.py --seed x
toys/figure1_laws.py --seed -1
toys/latent_batch.py --seed -1
toys/leaderboard.py --seed -1
toys/leaderboard.py --seeds 0
toys/leaderboard.py --seeds 99999999999999999999
toys/leaderboard.py --jobs 0
toys/leaderboard.py --jobs 99999999999999999999
toys/leaderboard.py --task x
toys/leaderboard.py --method x
toys/leaderboard.py --process x
toys/leaderboard.py --budget x
toys/leaderboard.py --teacher x
toys/leaderboard.py --figure x.svg
toys/leaderboard.py --law {law} --task law
toys/letter_windows.py --seed -1
toys/theorem2_training.py --seed -1
toys/theorem2_training.py --dims 2147483647
toys/theorem2_training.py --dims 40
toys/theorem2_training.py --steps 2147483647
toys/theorem2_training.py --latents 2147483647
toys/two_dim_tv.py --seed -1
toys/two_dim_tv.py --horizon 1e308
toys/two_dim_tv.py --rate 1e51
toys/two_dim_tv.py --steps 99999999999999999999
"""
"""Wrong values and combinations."""
