# als_bounded with its default priors. Rscript bounded_stan.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))

d <- by_subject(table_of("bounded"))
data <- list(n = d$n, n_rows = d$rows, subject = d$subject, month = d$table$time, score = d$table$alsfrsr, treated = as.numeric(d$arm == "treated"))
found <- sampled("bounded", list(data), c("mean_level", "sd_level", "mean_slope", "slope_effect", "sd_slope", "correlation", "overdispersion"))
write_reference("bounded_stan", "same priors", by_stan(), found[[1]], c("rstan", "posterior"))
