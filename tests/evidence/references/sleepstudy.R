# lme4 by REML on its own data: Reaction ~ Days + (Days | Subject). Rscript sleepstudy.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))
suppressPackageStartupMessages(library(lme4))

fit <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy, REML = TRUE)
fixed <- coef(summary(fit)); spread <- attr(VarCorr(fit)$Subject, "stddev")
write_reference("sleepstudy", "likelihood", paste("lme4", packageVersion("lme4"), "REML"), list(
  mean_level = list(estimate = fixed[1, 1], se = fixed[1, 2]), mean_slope = list(estimate = fixed[2, 1], se = fixed[2, 2]),
  sd_level = list(estimate = spread[[1]]), sd_slope = list(estimate = spread[[2]]), sd_residual = list(estimate = sigma(fit))), "lme4")
